#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The Heat templates, as Heat's own engine takes them, and Nova's rules for what they ask of Nova.

UPDATE=1 writes the user-data that the Go test beside the templates holds against the appliance's own schema.
"""

import base64
import json
import logging
import os
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import cloud  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
HEAT = os.path.join(HERE, "..", "heat")
GOLDEN = os.path.join(HERE, "..", "testdata")

GROUP = {
    "key_name": "operator", "management_network": "management", "edge_network": "edge", "inside_network": "inside",
    "routers": "10.0.3.2,10.0.3.3", "router_asn": 65010, "virtual_addresses": "203.0.113.80,203.0.113.81",
    "virtual_addresses_v6": "2001:db8:99::80", "ports": "80,443", "backends": "10.9.0.2,10.9.0.3",
}


def certificate():
    """A certificate and its key."""
    with tempfile.TemporaryDirectory() as d:
        key, cert = os.path.join(d, "k"), os.path.join(d, "c")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ed25519", "-nodes", "-keyout", key, "-out", cert, "-subj", "/CN=orchestrator"],
                       check=True, capture_output=True)
        with open(cert, encoding="ascii") as c, open(key, encoding="ascii") as k:
            return c.read(), k.read()


class Heat(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        logging.disable(logging.WARNING)
        cloud.setup()
        cls.rules = cls.enterClassContext(subprocess.Popen(
            [sys.executable, os.path.join(HERE, "nova_rules.py")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True))

    def nova(self, **asked):
        """What Nova's own rules say."""
        self.rules.stdin.write(json.dumps(asked) + "\n")
        self.rules.stdin.flush()
        return "\n".join(json.loads(self.rules.stdout.readline()))

    def setUp(self):
        self.cloud = self.enterContext(cloud.Cloud())

    def make(self, name, parameters=None, edit=None):
        text, files = cloud.load(HEAT, name)
        if edit:
            changed = {n: edit(t) for n, t in files.items()}
            new = edit(text)
            self.assertTrue(new != text or changed != files, "the edit changes nothing")
            text, files = new, changed
        return cloud.make(self.cloud, text, files, parameters)

    def servers(self, made):
        return [p for _, p in made.all("OS::Nova::Server")]

    def golden(self, name, text):
        file = os.path.join(GOLDEN, name)
        if os.environ.get("UPDATE"):
            with open(file, "w", encoding="utf-8") as f:
                f.write(text)
        with open(file, encoding="utf-8") as f:
            self.assertEqual(f.read(), text, f"{name} is of other templates; UPDATE=1 writes it anew")

    def refused(self, name, parameters=None, edit=None, words=""):
        with self.assertRaises(Exception) as e:
            self.make(name, parameters, edit)
        self.assertIn(words, str(e.exception))

    # One appliance.

    def test_router_with_networks_of_its_own(self):
        made = self.make("millrace.yaml", {"key_name": "operator"})
        s = self.servers(made)[0]
        self.assertEqual([n["tag"] for n in s["networks"]], ["mgmt", "wan", "lan"])
        self.assertIs(s["config_drive"], True)
        for port in ("wan_port", "lan_port"):
            p = made.props[port]
            self.assertEqual((p["port_security_enabled"], p["security_groups"], p["allowed_address_pairs"]), (False, [], []))
            self.assertEqual(p["binding:vnic_type"], "normal")
        # The management port keeps Neutron's filter.
        self.assertNotEqual(made.props["management_port"]["port_security_enabled"], False)
        self.assertEqual(made.props["lan_subnet"]["gateway_ip"], made.outputs["lan_address"])
        self.assertEqual(made.outputs["gnmi_target"], made.outputs["management_address"] + ":9339")
        self.assertEqual(made.props["wan_net"]["value_specs"], {"mtu": 1500})
        self.assertEqual(sorted(r["port_range_min"] for r in made.props["management_group"]["rules"]), [22, 9339])
        text, data = cloud.user_data(s)
        self.assertEqual(data["millrace"]["tls"], {})
        config = data["millrace"]["config"]
        have = {i["name"]: (i["config"]["mtu"], [(a["ip"], a["config"]["prefix-length"]) for a in
                                                 i["subinterfaces"]["subinterface"][0]["openconfig-if-ip:ipv4"]["addresses"]["address"]])
                for i in config["openconfig-interfaces:interfaces"]["interface"]}
        self.assertEqual(have, {"wan": (1464, [(made.outputs["wan_address"], 24)]), "lan": (1464, [("10.20.0.1", 24)])})
        self.assertIn('"next-hop": "203.0.113.1"', text)
        self.golden("router.user-data", text)

    def test_day_0(self):
        ca, key = certificate()
        tree = {"openconfig-system:system": {"config": {"hostname": "edge1", "login-banner": "say \"hello\":\n# $tls $configuration"}}}
        made = self.make("millrace.yaml", {"key_name": "operator", "configuration": tree, "orchestrator_ca": ca, "certificate": ca, "private_key": key})
        text, data = cloud.user_data(self.servers(made)[0])
        self.assertEqual(data["millrace"]["tls"], {"ca": ca, "certificate": ca, "key": key})
        config = data["millrace"]["config"]
        self.assertEqual(config["openconfig-system:system"], tree["openconfig-system:system"])
        # What is given replaces what the template makes, by section.
        own = {"openconfig-interfaces:interfaces": {"interface": []}}
        made = self.make("millrace.yaml", {"key_name": "operator", "configuration": own, "default_route": False})
        self.assertEqual(cloud.user_data(self.servers(made)[0])[1]["millrace"]["config"], own)
        self.assertLess(len(base64.b64encode(text.encode())), 65535, "Nova takes no more")

    def test_existing_networks(self):
        made = self.make("millrace.yaml", {
            "key_name": "operator", "management_network": "office", "wan_network": "external", "default_route": False, "lan_network": "inside", "lan_address": "10.9.0.1",
            "management_clients": "2001:db8::/32", "wan_address": "198.51.100.9", "wan_vnic_type": "direct", "availability_zone": "rack2"})
        self.assertNotIn("OS::Neutron::Net", made.kinds.values())
        self.assertEqual(made.outputs["gnmi_target"], f"[{made.outputs['management_address']}]:9339")
        self.assertEqual(made.outputs["wan_address"], "198.51.100.9")
        self.assertEqual(made.props["wan_port"]["binding:vnic_type"], "direct")
        self.assertEqual({r["ethertype"] for r in made.props["management_group"]["rules"]}, {"IPv6"})
        self.assertEqual(made.props["management_ping"]["protocol"], "icmpv6")
        self.assertEqual(self.servers(made)[0]["availability_zone"], "rack2")
        text, data = cloud.user_data(self.servers(made)[0])
        self.assertEqual(list(data["millrace"]["config"]), ["openconfig-interfaces:interfaces"])
        self.golden("router-existing.user-data", text)

    def test_ipv6_data_network(self):
        self.cloud.networks["wan6"] = ["2001:db8:6::/64"]
        made = self.make("millrace.yaml", {"key_name": "operator", "wan_network": "wan6", "default_route": False})
        text, data = cloud.user_data(self.servers(made)[0])
        wan = data["millrace"]["config"]["openconfig-interfaces:interfaces"]["interface"][0]["subinterfaces"]["subinterface"][0]
        self.assertEqual(wan["openconfig-if-ip:ipv6"]["addresses"]["address"][0]["config"], {"ip": made.outputs["wan_address"], "prefix-length": 64})
        self.assertEqual(wan["openconfig-if-ip:ipv4"]["addresses"]["address"], [])
        self.golden("router-ipv6.user-data", text)

    def test_floating(self):
        made = self.make("millrace.yaml", {"key_name": "operator", "floating_network": "external"})
        self.assertEqual(made.outputs["gnmi_target"], "198.51.100.77:9339")

    def test_address_pairs(self):
        made = self.make("millrace.yaml", {"key_name": "operator", "anti_spoofing": "pairs"})
        for port in ("wan_port", "lan_port"):
            p = made.props[port]
            self.assertIs(p["port_security_enabled"], True)
            self.assertEqual([a["ip_address"] for a in p["allowed_address_pairs"]], ["0.0.0.0/1", "128.0.0.0/1", "::/1", "8000::/1"])
            self.assertEqual(len(p["security_groups"]), 1)
        rules = made.props["data_group"]["rules"]
        self.assertEqual({(r["direction"], r["ethertype"]) for r in rules},
                         {(d, e) for d in ("ingress", "egress") for e in ("IPv4", "IPv6")})

    def test_router_refused(self):
        ok = {"key_name": "operator"}
        self.refused("millrace.yaml", {}, words="key_name")
        self.refused("millrace.yaml", {"key_name": "nobody"}, words="nobody")
        self.refused("millrace.yaml", {**ok, "image": "other"}, words="other")
        self.refused("millrace.yaml", {**ok, "flavor": "tiny"}, words="minimum ram")
        self.refused("millrace.yaml", {**ok, "wan_network": "nowhere"}, words="nowhere")
        self.refused("millrace.yaml", {**ok, "anti_spoofing": "sometimes"}, words="anti_spoofing")
        self.refused("millrace.yaml", {**ok, "wan_vnic_type": "fast"}, words="wan_vnic_type")
        self.refused("millrace.yaml", {**ok, "lan_prefix": "10.20.0.0/33"}, words="lan_prefix")
        self.refused("millrace.yaml", {**ok, "lan_address": "10.21.0.1"}, words="10.21.0.1")
        self.refused("millrace.yaml", {**ok, "configuration": "not JSON"}, words="configuration")
        self.refused("millrace.yaml", {**ok, "data_mtu": 68}, words="data_mtu")

    def test_broken_templates(self):
        ok = {"key_name": "operator"}
        for old, new, words in (
                ("port: {get_resource: wan_port}", "port: {get_resource: wan_prt}", "wan_prt"),
                ("binding:vnic_type", "binding:vnic", "binding:vnic"),
                ("{get_param: data_mtu}", "{get_param: mtu}", "mtu"),
                ("OS::Nova::Server", "OS::Nova::Serve", "OS::Nova::Serve"),
                ("config_drive: true", "config_drive: perhaps", "config_drive"),
                ("user_data_format: RAW", "user_data_format: YAML", "user_data_format"),
                ("[management_port, fixed_ips, 0, ip_address]", "[management_port, fixed_addresses, 0]", "fixed_addresses"),
                ("condition: floating", "condition: flying", "flying"),
                ("port_security_enabled: {if: [pairs, true, false]}", "port_security_enabled: {if: [pairs, false, true]}", "port security")):
            with self.subTest(new):
                self.refused("millrace.yaml", {**ok, "anti_spoofing": "pairs"} if words == "port security" else ok,
                             lambda t, o=old, n=new: t.replace(o, n), words)

    # The group.

    def test_group(self):
        made = self.make("autoscaling.yaml", {**GROUP, "size": 3, "bgp_password": "s3cret"})
        servers = self.servers(made)
        self.assertEqual(len(servers), 3)
        # Each has an AS and a router id of its own, of its address.
        self.assertEqual(made.outputs["edge_addresses"], ["10.0.3.10", "10.0.3.11", "10.0.3.12"])
        self.assertEqual(made.outputs["asns"], [4200000000 + 3 * 256 + n for n in (10, 11, 12)])
        self.assertEqual(made.outputs["size"], 3)
        for i, s in enumerate(servers):
            self.assertEqual([n["tag"] for n in s["networks"]], ["mgmt", "edge", "inside"])
            self.assertEqual(s["scheduler_hints"], {"group": "made-stack-spread"})
            bgp = cloud.user_data(s)[1]["millrace"]["config"]["openconfig-network-instance:network-instances"]["network-instance"][0][
                "protocols"]["protocol"][0]["bgp"]
            self.assertEqual(bgp["global"]["config"], {"as": made.outputs["asns"][i], "router-id": made.outputs["edge_addresses"][i]})
            self.assertEqual(bgp["peer-groups"]["peer-group"][0]["config"]["auth-password"], "s3cret")
        self.golden("member.user-data", cloud.user_data(servers[0])[0])
        self.assertTrue(all(not p["port_security_enabled"] for n, p in made.all("OS::Neutron::Port") if not n.endswith("management_port")))
        self.assertEqual({p["scaling_adjustment"] for _, p in made.all("OS::Heat::ScalingPolicy")}, {1, -1})

    def test_group_of_one_as(self):
        made = self.make("autoscaling.yaml", {**GROUP, "asn": 65020, "asn_per_member": False, "virtual_addresses_v6": "", "configuration": {
            "vnf-dataplane:dataplane": {"config": {"workers": 3}}}})
        self.assertEqual(made.outputs["asns"], [65020, 65020])
        text, data = cloud.user_data(self.servers(made)[0])
        self.assertEqual(data["millrace"]["config"]["vnf-dataplane:dataplane"]["config"], {"workers": 3})
        self.golden("member-ipv4.user-data", text)

    def test_group_refused(self):
        self.refused("autoscaling.yaml", {**GROUP, "edge_network": "nowhere"}, words="nowhere")
        self.refused("autoscaling.yaml", {**GROUP, "asn": 0}, words="asn")
        self.refused("autoscaling.yaml", {**GROUP, "hold_time": 2}, words="hold_time")
        self.refused("autoscaling.yaml", {**GROUP, "size": 9}, words="")
        self.refused("autoscaling.yaml", {**GROUP, "server_group_policy": "none"}, words="server_group_policy")
        self.refused("autoscaling.yaml", GROUP, lambda t: t.replace("  router_asn: {type: number}\n", ""), "router_asn")
        self.refused("autoscaling.yaml", GROUP, lambda t: t.replace("get_attr: [edge_port, fixed_ips", "get_attr: [edge_prt, fixed_ips"), "edge_prt")
        self.refused("autoscaling.yaml", GROUP, lambda t: t.replace("repeat:\n", "repeet:\n"), "repeet")

    # Nova.

    def test_flavor(self):
        for parameters in ({}, {"viommu": "intel", "page_size": "1GB"}, {"cpu_policy": "shared", "page_size": "small", "viommu": "virtio"}):
            made = self.make("flavor.yaml", parameters)
            specs = made.props["flavor"]["extra_specs"]
            self.assertEqual(specs.get("hw:viommu_model", "none"), parameters.get("viommu", "none"))
            self.assertEqual(self.nova(extra_specs=specs), "")
        self.assertIn("hw:mem_page_size", self.nova(extra_specs={"hw:mem_page_size": "huge"}))
        self.assertIn("hw:viommu", self.nova(extra_specs={"hw:viommu": "intel"}))
        self.refused("flavor.yaml", {"vcpus": 1}, words="vcpus")
        self.refused("flavor.yaml", {"memory": 512}, words="memory")

    def test_server_as_nova_takes_it(self):
        s = self.servers(self.make("autoscaling.yaml", GROUP))[0]
        body = {
            "name": "edge1", "imageRef": "7f7b7c36-1b66-4c83-9d6c-2d9e2d5b1d55", "flavorRef": "42", "key_name": s["key_name"], "config_drive": True,
            "user_data": base64.b64encode(s["user_data"].encode()).decode(),
            "networks": [{"port": "9f7b7c36-1b66-4c83-9d6c-2d9e2d5b1d55", "tag": n["tag"]} for n in s["networks"]]}
        self.assertEqual(self.nova(server=body), "")
        body["networks"][0]["tag"] = "a/b"
        self.assertIn("a/b", self.nova(server=body))


if __name__ == "__main__":
    unittest.main(verbosity=1)
