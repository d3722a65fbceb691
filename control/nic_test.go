package control

import (
	"errors"
	"testing"

	"millrace/appliance/nic"
)

func TestResolveNICs(t *testing.T) {
	c := mustParse(t, `
interfaces:
  - {name: wan, type: port, device: nic=wan}
  - {name: lan, type: port, device: nic=lan}
  - {name: far, type: port, device: nic=far}
  - {name: gone, type: port, device: nic=gone}
  - {name: other, type: port, device: "0000:00:09.0"}
`)
	file := &nic.File{NICs: []nic.NIC{
		{Name: "management", Role: nic.Management, PCI: "0000:00:03.0", Netdev: "ens3"},
		{Name: "wan", Role: nic.Data, PCI: "0000:00:04.0", Driver: "vfio-pci"},
		{Name: "lan", Role: nic.Data, PCI: "0000:00:05.0", Driver: "e1000", Netdev: "ens5"},
		{Name: "gone", Role: nic.Data, PCI: "0000:00:06.0", Problem: "it has gone"},
	}}
	want := map[string]string{
		"wan": "0000:00:04.0", "lan": "iface=ens5,driver=af_packet", "far": `there is no such NIC as far: the machine has ["wan" "lan" "gone"]`,
		"gone": "the NIC gone at 0000:00:06.0 cannot be used: it has gone", "other": "0000:00:09.0",
	}
	for _, o := range resolveNICs(desired(c), func() (*nic.File, error) { return file, nil }) {
		if o.rank != rankPort {
			continue
		}
		got := o.add.GetInterface().GetDevice()
		if o.fault != nil {
			got = o.fault.Error()
		}
		if got != want[o.iface] {
			t.Errorf("%s: %s, want %s", o.iface, got, want[o.iface])
		}
	}
	broken := errors.New("broken")
	for _, o := range resolveNICs(desired(c), func() (*nic.File, error) { return nil, broken }) {
		if isNIC := o.rank == rankPort && o.iface != "other"; isNIC != errors.Is(o.fault, broken) {
			t.Errorf("%s: %v", o.key, o.fault)
		}
	}
}
