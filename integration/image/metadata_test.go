package image

import (
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"millrace/internal/lab"
)

const metadataAddress = "169.254.169.254"

// metadata is the service of Nova for one guest, as Neutron puts it into a network.
type metadata struct {
	server *http.Server
	mu     sync.Mutex
	asked  []string
}

// startMetadata starts it in a namespace, which gets its address.
func startMetadata(t *testing.T, ns *lab.NS, i instance) *metadata {
	t.Helper()
	ns.Addr("lo", metadataAddress+"/32")
	m := &metadata{}
	files := map[string]string{
		"/openstack":                          "2018-08-27\nlatest",
		"/openstack/latest/meta_data.json":    text(t, i.metaData()),
		"/openstack/latest/network_data.json": text(t, i.networkData()),
		"/openstack/latest/vendor_data.json":  "{}",
		"/openstack/latest/user_data":         i.cloudConfig(t),
		// What clouds have in the manner of EC2 beside it.
		"/latest/meta-data/instance-id": i.uuid,
		"/latest/meta-data/hostname":    i.hostname,
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		m.mu.Lock()
		m.asked = append(m.asked, r.URL.Path)
		m.mu.Unlock()
		path := strings.TrimSuffix(strings.Replace(r.URL.Path, "/2018-08-27/", "/latest/", 1), "/")
		s, ok := files[path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		if json.Valid([]byte(s)) {
			w.Header().Set("Content-Type", "application/json")
		}
		_, _ = w.Write([]byte(s))
	})
	m.server = &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	var listener net.Listener
	if err := ns.Do(func() (err error) {
		listener, err = net.Listen("tcp", metadataAddress+":80")
		return err
	}); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = m.server.Serve(listener)
	}()
	t.Cleanup(func() {
		_ = m.server.Close()
		<-done
		if t.Failed() {
			m.mu.Lock()
			defer m.mu.Unlock()
			t.Logf("the metadata service was asked for %q", m.asked)
		}
	})
	return m
}

// startDHCP gives the guest its address in the management network, with the way to the metadata service as Neutron tells it.
func (b *bed) startDHCP() {
	b.t.Helper()
	p, err := b.mgmt.Start("dnsmasq", "--keep-in-foreground", "--no-resolv", "--no-hosts", "--port=0", "--conf-file=/dev/null", "--log-dhcp", "--log-facility=-",
		"--user=root", "--interface=eth0", "--bind-interfaces", "--dhcp-range=192.0.2.10,192.0.2.20,1h", "--dhcp-host="+mgmtMAC+","+guestAddress,
		"--dhcp-option=option:router,192.0.2.1", "--dhcp-option=option:classless-static-route,0.0.0.0/0,192.0.2.1,"+metadataAddress+"/32,192.0.2.1",
		"--dhcp-leasefile="+filepath.Join(b.lab.Dir, "leases"))
	if err != nil {
		b.t.Fatal(err)
	}
	// It has bound its socket, or it has ended.
	if err := lab.Eventually(20*time.Second, func() error {
		if !p.Running() {
			return errors.New("dnsmasq ended")
		}
		out, err := b.mgmt.Output("ss", "-Hlun", "sport = :67")
		if err == nil && strings.TrimSpace(out) == "" {
			err = errors.New("dnsmasq does not listen")
		}
		return err
	}); err != nil {
		b.t.Fatalf("%v\n%s", err, p.Output())
	}
	b.t.Cleanup(func() {
		if b.vm.t.Failed() {
			b.vm.t.Logf("dnsmasq said:\n%s", tail(p.Output(), 3000))
		}
	})
}

// TestMetadataService: all of day 0 comes from the metadata service, which is reached by the address that DHCP gave.
func TestMetadataService(t *testing.T) {
	b := newBed(t)
	i := b.instance(object{"config": dayZero(), "tls": b.tls()})
	i.ports[0].address = ""
	b.newVM(t, vmOptions{nics: b.threeNICs(), openstack: true})
	b.startDHCP()
	startMetadata(t, b.mgmt, i)
	b.start()
	b.connect(bootPatience)
	report(t, "metadata-boot-to-gnmi-seconds", time.Since(b.booted).Round(time.Second).Seconds())
	b.cloudInit()
	b.startPeer()
	b.step("identity", b.tryIdentity)
	b.step("forwarding", func() {
		b.data(wanMAC, "wan", "uio_pci_generic|igb_uio", 0)
		b.data(lanMAC, "lan", "uio_pci_generic|igb_uio", 1450)
		b.wantState(aftOfWAN, "203.0.113.0/24")
		b.pings(b.lan, "10.0.2.1", behindWAN, "2001:db8:1::2")
	})
	b.step("rest", b.tryRest)
	b.step("off", b.off)
}

// TestNoCloud: a seed without certificates and one data NIC, which has no tag; gNMI's certificates are made in the guest.
func TestNoCloud(t *testing.T) {
	b := newBed(t)
	i := instance{uuid: "nocloud-1", hostname: guestName, sshKey: b.sshKey}
	b.newVM(t, vmOptions{nics: b.threeNICs()[:2], cdrom: i.noCloud(t, b.lab.Dir, "")})
	b.startDHCP()
	b.start()
	b.cloudInit()
	// Who is root there has the operator's certificate from there.
	b.operator = identity{}
	for name, into := range map[string]*string{"ca.pem": &b.operator.ca, "client.pem": &b.operator.certificate, "client-key.pem": &b.operator.key} {
		b.eventually(name, patience, func() (err error) {
			*into, err = b.shell.run("cat /var/lib/millrace/pki/" + name)
			return err
		})
	}
	b.operator.write(t, filepath.Join(b.lab.Dir, "pki"))
	b.connect(patience)
	report(t, "nocloud-boot-to-gnmi-seconds", time.Since(b.booted).Round(time.Second).Seconds())
	b.step("port", func() {
		b.data(wanMAC, "port1", "uio_pci_generic|igb_uio", 0)
		if err := b.client.update("/interfaces/interface[name=port1]/subinterfaces/subinterface[index=0]", object{
			"index": 0, "config": object{"index": 0},
			"openconfig-if-ip:ipv4": object{"addresses": object{"address": array{object{"ip": "10.0.1.1", "config": object{"ip": "10.0.1.1", "prefix-length": 24}}}}},
		}); err != nil {
			b.fatalf("%v", err)
		}
		b.pings(b.wan, "10.0.1.1")
	})
	b.step("vnfctl", func() {
		if out, err := b.ctl("interface", "list"); err != nil || !strings.Contains(out, "port1") {
			b.fatalf("%v\n%s", err, out)
		}
	})
	b.step("rest", b.tryRest)
}

// TestIOMMU: with UEFI and an IOMMU the data NICs belong to vfio-pci; each has two queues.
func TestIOMMU(t *testing.T) {
	b := newBed(t)
	i := b.instance(object{"config": dayZero(), "tls": b.tls()})
	nics := b.threeNICs()
	nics[1].queues, nics[2].queues = 2, 2
	b.newVM(t, vmOptions{nics: nics, cdrom: i.configDrive(t, b.lab.Dir), openstack: true, uefi: true, iommu: true})
	b.start()
	b.connect(bootPatience)
	report(t, "iommu-boot-to-gnmi-seconds", time.Since(b.booted).Round(time.Second).Seconds())
	b.cloudInit()
	b.startPeer()
	b.step("firmware", func() {
		b.sh("test -d /sys/firmware/efi")
		if groups := b.sh("ls /sys/kernel/iommu_groups | wc -l"); groups == "0" {
			b.t.Error("there is no IOMMU")
		}
	})
	b.step("forwarding", func() {
		b.data(wanMAC, "wan", "vfio-pci", 0)
		b.data(lanMAC, "lan", "vfio-pci", 1450)
		b.wantState(aftOfWAN, "203.0.113.0/24")
		b.pings(b.lan, "10.0.2.1", behindWAN, "2001:db8:1::2")
	})
	b.step("tcp", b.tryTCP)
	b.step("rest", b.tryRest)
}

// TestOldCPU: on a CPU that is too old the console says what is needed, and management can still be reached.
func TestOldCPU(t *testing.T) {
	b := newBed(t)
	i := b.instance(object{"tls": b.tls()})
	b.newVM(t, vmOptions{nics: b.threeNICs(), cdrom: i.configDrive(t, b.lab.Dir), openstack: true, cpu: "core2duo"})
	b.start()
	for _, words := range []string{"THIS PROCESSOR CANNOT RUN THE DATA PLANE", "Nehalem"} {
		b.eventually(words+" on the console", bootPatience, func() error {
			if !strings.Contains(b.said(), words) {
				return errors.New("not there")
			}
			return nil
		})
	}
	b.connect(bootPatience)
	b.cloudInit()
}
