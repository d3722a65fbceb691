# SPDX-License-Identifier: Apache-2.0
"""Heat's own engine, in this process, in front of a cloud that only knows names.

Templates are parsed, validated against the resource plugins and evaluated as Heat's engine does it: resources in the order of their
dependencies, each seeing what the ones before it have become. Where the engine asks Nova, Neutron or Glance whether something is
there, Cloud answers; where it would have them make something, Cloud says what became of it.
"""

import copy
import ipaddress
import os
import unittest.mock
import uuid
import warnings

import yaml

warnings.simplefilter("ignore")

from heat.common import context, exception, messaging  # noqa: E402
from heat.common import config as _config  # noqa: E402,F401
from heat.common import template_format  # noqa: E402
from heat.db.sqlalchemy import api as db_api  # noqa: E402
from heat.db.sqlalchemy import models  # noqa: E402
from heat.engine import environment, node_data, resources, stack, stk_defn, template  # noqa: E402
from heat.engine.clients.os import glance, neutron, nova  # noqa: E402
from heat.engine.resources import stack_resource  # noqa: E402
from neutronclient.common import exceptions as neutron_exceptions  # noqa: E402
from novaclient import exceptions as nova_exceptions  # noqa: E402
from oslo_config import cfg  # noqa: E402
from oslo_db import options  # noqa: E402


class Image:
    def __init__(self, name, min_ram, min_disk):
        self.id, self.name, self.min_ram, self.min_disk, self.status = name + "-id", name, min_ram, min_disk, "active"


class Flavor:
    def __init__(self, name, ram, disk):
        self.id, self.name, self.ram, self.disk = name + "-id", name, ram, disk


class Cloud:
    """What there is before a stack is made, and what its resources become."""

    def __init__(self):
        self.images = [Image("millrace", 2048, 4)]
        self.flavors = [Flavor("millrace.medium", 4096, 8), Flavor("tiny", 512, 1)]
        self.keypairs = {"operator"}
        # Prefixes of the networks there are.
        self.networks = {
            "management": ["192.168.250.0/24"], "office": ["2001:db8:5::/64"], "edge": ["10.0.3.0/24"],
            "inside": ["10.9.0.0/16"], "external": ["198.51.100.0/24"],
        }
        self.groups = {"default"}
        self.used = {}

    # What the engine asks.

    def find_image(self, _plugin, name):
        for i in self.images:
            if name in (i.id, i.name):
                return i.id
        raise glance.client_exception.EntityMatchNotFound(entity="image", args={"name": name})

    def get_image(self, _plugin, name):
        return next(i for i in self.images if name in (i.id, i.name))

    def find_flavor(self, _plugin, name):
        for f in self.flavors:
            if name in (f.id, f.name):
                return f.id
        raise nova_exceptions.NotFound(404, "no flavor " + name)

    def get_flavor(self, _plugin, name):
        return next(f for f in self.flavors if name in (f.id, f.name))

    def get_keypair(self, _plugin, name):
        if name not in self.keypairs:
            raise exception.EntityNotFound(entity="Key", name=name)
        return name

    def find_neutron(self, _plugin, kind, name, **_):
        known = {"network": self.networks, "security_group": self.groups}.get(kind, ())
        if name in known or name.startswith(("made-", "id-")):
            return name
        raise neutron_exceptions.NotFound(message=f"no {kind} {name}")

    # What is made.

    def address(self, network, fixed):
        prefixes = self.networks[network]
        if fixed:
            if not any(ipaddress.ip_address(fixed) in ipaddress.ip_network(p) for p in prefixes):
                raise ValueError(f"{fixed} is in no subnet of {network}")
            return fixed
        n = ipaddress.ip_network(prefixes[0])
        self.used[network] = self.used.get(network, 9) + 1
        return str(n[self.used[network]])

    def subnet(self, network, address):
        n = next(n for n in map(ipaddress.ip_network, self.networks[network]) if ipaddress.ip_address(address) in n)
        return {"cidr": str(n), "ip_version": n.version, "gateway_ip": str(n[1])}

    def make(self, kind, name, props):
        """The id of a resource of a kind, and its attributes."""
        made = f"made-{name}"
        attrs = {}
        if kind == "OS::Neutron::Net":
            self.networks[made] = []
        elif kind == "OS::Neutron::Subnet":
            if props["gateway_ip"] and ipaddress.ip_address(props["gateway_ip"]) not in ipaddress.ip_network(props["cidr"]):
                raise ValueError(f"gateway {props['gateway_ip']} is not in {props['cidr']}")
            self.networks[props["network"]].append(props["cidr"])
        elif kind == "OS::Neutron::Port":
            if not props["port_security_enabled"] and props["port_security_enabled"] is not None and (
                    props["security_groups"] or props["allowed_address_pairs"]):
                raise ValueError(f"{name}: Neutron takes neither groups nor address pairs without port security")
            fixed = [f.get("ip_address") for f in props["fixed_ips"] or []] or [None]
            attrs["fixed_ips"] = [{"ip_address": self.address(props["network"], f)} for f in fixed]
            attrs["subnets"] = [self.subnet(props["network"], f["ip_address"]) for f in attrs["fixed_ips"]]
            attrs["network"] = {"mtu": 1450}
        elif kind == "OS::Neutron::FloatingIP":
            attrs["floating_ip_address"] = "198.51.100.77"
        elif kind == "OS::Heat::ScalingPolicy":
            attrs["alarm_url"] = attrs["signal_url"] = f"https://heat.example/{name}"
        elif kind == "OS::Heat::Value":
            attrs["value"] = copy.deepcopy(props["value"])
        return made, attrs

    def __enter__(self):
        import contextlib
        self._stack = contextlib.ExitStack()
        for cls, name, answer in (
                (glance.GlanceClientPlugin, "find_image_by_name_or_id", self.find_image),
                (glance.GlanceClientPlugin, "get_image", self.get_image),
                (nova.NovaClientPlugin, "find_flavor_by_name_or_id", self.find_flavor),
                (nova.NovaClientPlugin, "get_flavor", self.get_flavor),
                (nova.NovaClientPlugin, "get_keypair", self.get_keypair),
                (nova.NovaClientPlugin, "is_version_supported", lambda *_: True),
                (neutron.NeutronClientPlugin, "find_resourceid_by_name_or_id", self.find_neutron),
                (neutron.NeutronClientPlugin, "has_extension", lambda *_: True)):
            def method(plugin, *a, _answer=answer, **kw):
                return _answer(plugin, *a, **kw)
            self._stack.enter_context(unittest.mock.patch.object(cls, name, method))
        return self

    def __exit__(self, *exc):
        return self._stack.__exit__(*exc)


class Data(node_data.NodeData):
    """What a resource has become; attributes by path."""

    def attribute(self, name):
        first, *rest = name if isinstance(name, tuple) else (name,)
        value = self._attributes[first]
        for step in rest:
            value = value[int(step) if isinstance(value, list) else step]
        return value


def setup():
    """Heat's plugins, and a database in memory."""
    options.cfg.set_defaults(options.database_opts, sqlite_synchronous=False)
    options.set_defaults(cfg.CONF, connection="sqlite://")
    cfg.CONF([], project="heat", default_config_files=[])
    messaging.setup("fake://", optional=True)
    models.BASE.metadata.create_all(db_api.get_engine())
    resources.initialise()


def request():
    return context.RequestContext.from_dict({
        "tenant_id": "project", "tenant": "project", "username": "operator", "user_id": "operator", "password": "", "roles": [],
        "is_admin": False, "auth_url": "http://127.0.0.1:5000/v3", "auth_token": "token", "trust_id": None, "region_name": None})


class Made:
    """An evaluated stack: the properties of its resources by name, its outputs, and the stacks in it."""

    def __init__(self, name):
        self.name, self.kinds, self.props, self.outputs, self.nested = name, {}, {}, {}, {}

    def all(self, kind):
        """The properties of all resources of a kind, by path."""
        for n, k in self.kinds.items():
            if k == kind:
                yield f"{self.name}/{n}", self.props[n]
        for n in self.nested.values():
            yield from n.all(kind)


def load(folder, name):
    """A template and the templates that it names."""
    with open(os.path.join(folder, name), encoding="utf-8") as f:
        text = f.read()
    files = {}
    for other in os.listdir(folder):
        if other.endswith(".yaml") and other != name and other in text:
            with open(os.path.join(folder, other), encoding="utf-8") as f:
                files[other] = f.read()
    return text, files


def make(cloud, text, files=None, parameters=None, name="stack"):
    """Evaluates a template. Whatever Heat would refuse raises."""
    parsed = template_format.parse(text)
    env = environment.Environment({"parameters": parameters or {}})
    t = template.Template(parsed, files=dict(files or {}), env=env)
    s = stack.Stack(request(), name, t, strict_validate=True)
    s.validate()
    return evaluate(cloud, s)


def plain(value):
    """A resolved value as plain lists and dicts."""
    if isinstance(value, dict) or hasattr(value, "items"):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    return value


def evaluate(cloud, s):
    made = Made(s.name)
    for res in s.dependencies:
        res.reparse()
        res.properties.validate()
        props = {k: plain(res.properties[k]) for k in res.properties}
        made.kinds[res.name], made.props[res.name] = res.t.resource_type, props
        if isinstance(res, stack_resource.StackResource):
            child = res._parse_nested_stack(f"{s.name}-{res.name}", res.child_template(), res.child_params())
            child.validate()
            made.nested[res.name] = n = evaluate(cloud, child)
            rid, attrs = n.name, dict(n.outputs)
            members = [m for m in n.nested.values()]
            attrs["outputs_list"] = {o: [m.outputs[o] for m in members] for o in (members[0].outputs if members else {})}
            attrs["current_size"] = len(members)
        else:
            rid, attrs = cloud.make(res.t.resource_type, f"{s.name}-{res.name}", props)
        stk_defn.update_resource_data(s.defn, res.name, Data(None, res.name, str(uuid.uuid4()), rid, attrs, "CREATE", "COMPLETE"))
    for name, output in s.outputs.items():
        made.outputs[name] = plain(output.get_value())
    return made


def user_data(props):
    """The user-data of a server: its text, and what it says."""
    text = props["user_data"]
    if not text.startswith("#cloud-config\n"):
        raise ValueError("user-data is not for cloud-init: " + text[:40])
    return text, yaml.safe_load(text)
