package cli

import (
	"os"
	"strings"

	"github.com/spf13/cobra"

	vnfv1 "millrace/api/proto/vnf/v1"
)

func (a *app) bgpAdd() *cobra.Command {
	var instance, passwordFile string
	var v vnfv1.BgpNeighborConfig
	var families []string
	var limit uint32
	var passive, client, self, enabled, graceful bool
	c := &cobra.Command{
		Use: "add NEIGHBOR --peer-as AS", Short: "Configure a neighbour and start its session", Args: cobra.ExactArgs(1),
		Example: `  vnfctl bgp add 192.0.2.2 --peer-as 65002 --description transit
  vnfctl bgp add fe80::2 --interface eth1 --peer-as 65003 --family ipv4,ipv6
  vnfctl bgp add 203.0.113.9 --peer-as 65001 --route-reflector-client --password-file key.txt`,
		RunE: func(c *cobra.Command, args []string) error {
			v.Address = args[0]
			for _, name := range families {
				f, err := parseEnum[vnfv1.AddressFamily]("family", name)
				if err != nil {
					return err
				}
				v.Families = append(v.Families, &vnfv1.BgpFamilyConfig{Family: f, PrefixLimit: limit})
			}
			if limit > 0 && len(families) == 0 {
				return usagef("--prefix-limit needs --family")
			}
			if passwordFile != "" {
				b, err := os.ReadFile(passwordFile)
				if err != nil {
					return usagef("--password-file: %v", err)
				}
				v.Password = strings.TrimRight(string(b), "\r\n")
			}
			for _, o := range []struct {
				flag string
				on   *bool
				to   **bool
			}{
				{"passive", &passive, &v.Passive}, {"route-reflector-client", &client, &v.RouteReflectorClient},
				{"next-hop-self", &self, &v.NextHopSelf}, {"enabled", &enabled, &v.Enabled}, {"graceful-restart", &graceful, &v.GracefulRestart},
			} {
				if c.Flags().Changed(o.flag) {
					*o.to = o.on
				}
			}
			client, err := a.bgp()
			if err != nil {
				return err
			}
			ctx, cancel := a.call(c.Context())
			defer cancel()
			n, err := client.AddBgpNeighbor(ctx, &vnfv1.AddBgpNeighborRequest{Config: &v, NetworkInstance: instance})
			if err != nil {
				return err
			}
			return a.done(n, "%s added: %s", args[0], bgpWord(n))
		},
	}
	a.instanceFlag(c, &instance, "default")
	a.interfaceFlag(c, &v.Interface, "link of a link-local address")
	f := c.Flags()
	f.Uint32Var(&v.PeerAs, "peer-as", 0, "AS number of the neighbour")
	f.Uint32Var(&v.LocalAs, "local-as", 0, "AS number shown to it; 0: ours")
	f.StringVar(&v.PeerGroup, "peer-group", "", "group it takes the rest from")
	f.StringVar(&v.Description, "description", "", "for people")
	f.StringVar(&v.LocalAddress, "local-address", "", "our end of the session; empty: by the route")
	f.BoolVar(&enabled, "enabled", true, "switched on")
	f.BoolVar(&passive, "passive", false, "wait for it to connect")
	f.StringVar(&passwordFile, "password-file", "", "`file` with the TCP MD5 password (RFC 2385), so that it is not seen in the list of processes")
	f.Uint32Var(&v.HoldTime, "hold-time", 0, "`seconds`, 3 to 65535; 0: 90")
	f.Uint32Var(&v.KeepaliveTime, "keepalive-time", 0, "`seconds`; 0: a third of the hold time")
	f.Uint32Var(&v.ConnectRetryTime, "connect-retry-time", 0, "`seconds` between attempts to connect; 0: 10")
	f.Uint32Var(&v.EbgpMultihopTtl, "multihop", 0, "TTL for an eBGP neighbour behind routers, 2 to 255")
	f.Uint32Var(&v.TtlSecurityHops, "ttl-security", 0, "most hops it may be away, 1 to 254 (GTSM, RFC 5082)")
	f.BoolVar(&client, "route-reflector-client", false, "it is a client of this route reflector")
	f.BoolVar(&self, "next-hop-self", false, "advertise our own address as next hop")
	f.BoolVar(&graceful, "graceful-restart", true, "take part in graceful restart (RFC 4724)")
	f.StringSliceVarP(&families, "family", "f", nil, "ipv4, ipv6; none: the family of the address")
	fixed(c, "family", words(vnfv1.AddressFamily(0)))
	f.Uint32Var(&limit, "prefix-limit", 0, "prefixes it may announce in each family; 0: no limit")
	f.StringSliceVar(&v.ImportPolicies, "import-policy", nil, "policies in order")
	f.StringSliceVar(&v.ExportPolicies, "export-policy", nil, "policies in order")
	return c
}
