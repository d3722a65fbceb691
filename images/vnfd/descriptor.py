# SPDX-License-Identifier: Apache-2.0
"""A VNF descriptor in TOSCA: read with its imports, and held against its types and against itself."""

import os
import posixpath
import re

import yaml

HERE = os.path.dirname(os.path.abspath(__file__))
# ETSI's type definitions are known by where they are published; what we know of them is in a file of ours.
ETSI = re.compile(r"https://forge\.etsi\.org/rep/nfv/SOL001/raw/v[0-9.]+/etsi_nfv_sol001_(vnfd|common)_types\.yaml")
KINDS = ("data_types", "artifact_types", "capability_types", "relationship_types", "interface_types", "node_types", "policy_types")
# Where the profile of TOSCA ends and NFV's begins.
ROOTS = {
    "tosca.datatypes.Root", "tosca.nodes.Root", "tosca.capabilities.Node", "tosca.capabilities.Root", "tosca.relationships.DependsOn",
    "tosca.interfaces.Root", "tosca.policies.Root", "tosca.policies.Placement", "tosca.artifacts.Deployment.Image", "tosca.artifacts.Root"}
UNITS = {
    "scalar-unit.size": {"B": 1, "kB": 10**3, "KiB": 2**10, "MB": 10**6, "MiB": 2**20, "GB": 10**9, "GiB": 2**30, "TB": 10**12, "TiB": 2**40},
    "scalar-unit.time": {"d": 86400, "h": 3600, "m": 60, "s": 1, "ms": 1e-3, "us": 1e-6, "ns": 1e-9},
}
FUNCTIONS = {"get_input", "concat", "get_property", "get_attribute", "token", "join"}


class Fault(Exception):
    pass


class Unique(yaml.SafeLoader):
    """A key that is there twice is a fault."""

    def construct_mapping(self, node, deep=False):
        keys = [self.construct_object(k, deep=True) for k, _ in node.value]
        for k in keys:
            if keys.count(k) > 1:
                raise Fault(f"line {node.start_mark.line + 1}: {k} is there twice")
        return super().construct_mapping(node, deep)


def parse(text):
    return yaml.load(text, Unique)  # noqa: S506, a SafeLoader


class Service:
    def __init__(self, doc):
        self.doc, self.types = doc, {k: {} for k in KINDS}
        self.topology = doc.get("topology_template") or {}

    def find(self, kind, name):
        return self.types[kind].get(name)

    def parts(self, kind, name, part):
        """A part of a type, with what it inherits."""
        t = self.find(kind, name)
        if t is None:
            return {}
        have = t.get(part) or {}
        if isinstance(have, list):
            have = {k: v for e in have for k, v in e.items()}
        above = self.parts(kind, t.get("derived_from"), part)
        return {**above, **have}

    def is_a(self, kind, name, base):
        while name:
            if name == base:
                return True
            name = (self.find(kind, name) or {}).get("derived_from")
        return False


def load(entry, read):
    """Reads a service template and all it imports; read gives the text of a file."""
    doc = parse(read(entry))
    if not isinstance(doc, dict) or not str(doc.get("tosca_definitions_version", "")).startswith("tosca_simple_yaml_1_"):
        raise Fault("is not of a tosca_definitions_version that is known (tosca_simple_yaml_1_3)")
    s = Service(doc)
    seen = set()

    def take(name, d):
        for kind in KINDS:
            for t, v in (d.get(kind) or {}).items():
                if t in s.types[kind]:
                    raise Fault(f"{name}: {t} is defined already")
                s.types[kind][t] = v or {}
        for i in d.get("imports") or []:
            follow(name, i["file"] if isinstance(i, dict) else i)

    def follow(name, what):
        if ETSI.fullmatch(what):
            what, text = "sol001.yaml", None
        elif re.match(r"[a-z]+:", what):
            raise Fault(f"{name}: imports {what}, which is not known")
        else:
            what = posixpath.normpath(posixpath.join(posixpath.dirname(name), what))
            try:
                text = read(what)
            except KeyError:
                raise Fault(f"{name}: imports {what}, which is not there") from None
        if what in seen:
            return
        seen.add(what)
        if text is None:
            with open(os.path.join(HERE, what), encoding="utf-8") as f:
                text = f.read()
        take(what, parse(text))

    take(entry, doc)
    return s


def scalar(kind, value):
    """A number of bytes or seconds, or None."""
    m = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([A-Za-z]+)", str(value))
    if not m:
        return None
    unit = {u.lower(): f for u, f in UNITS[kind].items()}.get(m.group(2).lower())
    return None if unit is None else float(m.group(1)) * unit


class Check:
    def __init__(self, s):
        self.s, self.faults = s, []
        self.inputs = s.topology.get("inputs") or {}
        self.nodes = s.topology.get("node_templates") or {}

    def fault(self, where, text):
        self.faults.append(f"{where}: {text}")

    def run(self):
        self.types()
        for name, i in self.inputs.items():
            if "default" in i:
                self.value(f"inputs.{name}", i, i["default"])
        if not self.nodes:
            self.fault("topology_template", "has no node_templates")
        for name, n in self.nodes.items():
            self.node(f"node_templates.{name}", n or {})
        policies = self.policies()
        self.substitution()
        if not self.faults:
            Scaling(self, policies).run()
        return self.faults

    def types(self):
        for kind, all_of in self.s.types.items():
            for name, t in all_of.items():
                base = t.get("derived_from")
                if base not in ROOTS and self.s.find(kind, base) is None:
                    self.fault(name, f"is derived from {base}, which is not known")
                for p, d in (t.get("properties") or {}).items():
                    if "default" in d:
                        self.value(f"{name}.{p}", d, d["default"])

    # Values.

    def properties(self, where, known, given):
        if not isinstance(given, dict):
            return self.fault(where, "is no map")
        for name in given:
            if name not in known:
                self.fault(f"{where}.{name}", "there is no such property")
        for name, d in known.items():
            if name in given:
                self.value(f"{where}.{name}", d, given[name])
            elif d.get("required", True) and "default" not in d:
                self.fault(f"{where}.{name}", "is missing")
        return None

    def value(self, where, d, v):
        kind = d.get("type")
        if isinstance(v, dict) and len(v) == 1 and next(iter(v)) in FUNCTIONS:
            return self.function(where, v)
        entry = d.get("entry_schema") or {}
        entry = {"type": entry} if isinstance(entry, str) else entry
        if kind == "map":
            if not isinstance(v, dict):
                return self.fault(where, f"{v!r} is no map")
            for k, x in v.items():
                self.value(f"{where}.{k}", entry, x)
        elif kind == "list":
            if not isinstance(v, list):
                return self.fault(where, f"{v!r} is no list")
            for i, x in enumerate(v):
                self.value(f"{where}[{i}]", entry, x)
        elif kind in UNITS:
            if scalar(kind, v) is None:
                return self.fault(where, f"{v!r} is no {kind}")
        elif kind in ("string", "integer", "boolean", "float", "version"):
            want = {"string": str, "integer": int, "boolean": bool, "float": (int, float), "version": (str, int, float)}[kind]
            if not isinstance(v, want) or (isinstance(v, bool) and kind != "boolean"):
                return self.fault(where, f"{v!r} is no {kind}")
        elif self.s.find("data_types", kind) is not None:
            self.properties(where, self.s.parts("data_types", kind, "properties"), v)
        else:
            return self.fault(where, f"its type {kind} is not known")
        for c in d.get("constraints") or []:
            self.constraint(where, kind, c, v)
        return None

    def constraint(self, where, kind, c, v):
        (op, limit), = c.items()
        if op == "valid_values":
            if v not in limit:
                self.fault(where, f"{v!r} is none of {limit}")
            return
        x, y = (scalar(kind, v), scalar(kind, limit)) if kind in UNITS else (v, limit)
        ok = {"greater_or_equal": lambda: x >= y, "greater_than": lambda: x > y, "min_length": lambda: len(x) >= y}.get(op)
        if ok is None or not ok():
            self.fault(where, f"{v!r} is not {op.replace('_', ' ')} {limit}")

    def function(self, where, v):
        (name, args), = v.items()
        if name == "get_input":
            if (args[0] if isinstance(args, list) else args) not in self.inputs:
                self.fault(where, f"there is no input {args}")
        for a in args if isinstance(args, list) else []:
            if isinstance(a, dict) and len(a) == 1:
                self.function(where, a)

    # Templates.

    def node(self, where, n):
        kind = n.get("type")
        if self.s.find("node_types", kind) is None:
            return self.fault(where, f"its type {kind} is not known")
        self.properties(where, self.s.parts("node_types", kind, "properties"), n.get("properties") or {})
        capabilities = self.s.parts("node_types", kind, "capabilities")
        for c in n.get("capabilities") or {}:
            if c not in capabilities:
                self.fault(f"{where}.capabilities.{c}", f"{kind} has no such")
        for c, d in capabilities.items():
            given = (n.get("capabilities") or {}).get(c, {})
            self.properties(f"{where}.{c}", self.s.parts("capability_types", d["type"], "properties"), given.get("properties") or {})
        requirements = self.s.parts("node_types", kind, "requirements")
        for r in n.get("requirements") or []:
            (name, to), = r.items()
            self.requirement(f"{where}.{name}", requirements.get(name), to)
        for a, d in (n.get("artifacts") or {}).items():
            at = d.get("type")
            if self.s.find("artifact_types", at) is None:
                self.fault(f"{where}.{a}", f"its type {at} is not known")
            elif not d.get("file"):
                self.fault(f"{where}.{a}", "has no file")
            else:
                self.properties(f"{where}.{a}", self.s.parts("artifact_types", at, "properties"), d.get("properties") or {})
        interfaces = self.s.parts("node_types", kind, "interfaces")
        for i, d in (n.get("interfaces") or {}).items():
            known = self.s.parts("interface_types", (interfaces.get(i) or {}).get("type"), "operations")
            if i not in interfaces:
                self.fault(f"{where}.{i}", f"{kind} has no such interface")
            for k in set(d) - {"inputs", "operations", "notifications"}:
                self.fault(f"{where}.{i}", f"{k} is nothing that an interface has")
            for op in d.get("operations") or {}:
                if i in interfaces and op not in known:
                    self.fault(f"{where}.{i}.{op}", "there is no such operation")
        return None

    def requirement(self, where, known, to):
        to = to.get("node") if isinstance(to, dict) else to
        if known is None:
            return self.fault(where, "there is no such requirement")
        if to not in self.nodes:
            return self.fault(where, f"there is no node {to}")
        offers = self.s.parts("node_types", self.nodes[to].get("type"), "capabilities")
        if not any(self.s.is_a("capability_types", c["type"], known["capability"]) for c in offers.values()):
            self.fault(where, f"{to} has no {known['capability']}")
        return None

    def policies(self):
        found = {}
        for p in self.s.topology.get("policies") or []:
            (name, d), = p.items()
            where, kind = f"policies.{name}", d.get("type")
            t = self.s.find("policy_types", kind)
            if t is None:
                self.fault(where, f"its type {kind} is not known")
                continue
            self.properties(where, self.s.parts("policy_types", kind, "properties"), d.get("properties") or {})
            for target in d.get("targets") or []:
                if target not in self.nodes:
                    self.fault(where, f"there is no node {target}")
                elif not any(self.s.is_a("node_types", self.nodes[target].get("type"), b) for b in t.get("targets") or []):
                    self.fault(where, f"{target} is nothing for {kind}")
            if t.get("targets") and not d.get("targets"):
                self.fault(where, "has no targets")
            found.setdefault(kind.rsplit(".", 1)[1], []).append((where, d))
        return found

    def substitution(self):
        m = self.s.topology.get("substitution_mappings")
        if not m:
            return self.fault("substitution_mappings", "is missing")
        kind = m.get("node_type")
        if not self.s.is_a("node_types", kind, "tosca.nodes.nfv.VNF"):
            return self.fault("substitution_mappings", f"{kind} is no VNF")
        if sum((n or {}).get("type") == kind for n in self.nodes.values()) != 1:
            self.fault("substitution_mappings", f"there is not one node of type {kind}")
        known = self.s.parts("node_types", kind, "requirements")
        mapped = m.get("requirements") or {}
        for name, (node, requirement) in mapped.items():
            where = f"substitution_mappings.{name}"
            if name not in known:
                self.fault(where, f"{kind} has no such requirement")
            has = self.s.parts("node_types", (self.nodes.get(node) or {}).get("type"), "requirements")
            if requirement not in has:
                self.fault(where, f"{node} has no requirement {requirement}")
        # A port of a machine that leads nowhere is a mistake.
        linked = {node for node, _ in mapped.values()}
        for name, n in self.nodes.items():
            if self.s.is_a("node_types", (n or {}).get("type"), "tosca.nodes.nfv.VduCp"):
                names = {k for r in n.get("requirements") or [] for k in r}
                if "virtual_binding" not in names:
                    self.fault(f"node_templates.{name}", "is bound to no VDU")
                if "virtual_link" not in names and name not in linked:
                    self.fault(f"node_templates.{name}", "leads nowhere: it has no virtual_link, inside or by substitution")
        return None


class Scaling:
    """Levels, steps and profiles have to give the same numbers of instances."""

    def __init__(self, check, policies):
        self.c, self.p = check, policies

    def one(self, kind, target=None):
        for where, d in self.p.get(kind, []):
            if target is None or target in d["targets"]:
                yield where, d["properties"]

    def run(self):
        aspects = {n: (w, a) for w, p in self.one("ScalingAspects") for n, a in p["aspects"].items()}
        levels = {n: (w, v) for w, p in self.one("InstantiationLevels") for n, v in p["levels"].items()}
        for where, p in self.one("InstantiationLevels"):
            if p.get("default_level", next(iter(levels))) not in levels:
                self.c.fault(where, f"there is no level {p['default_level']}")
        for name, (where, v) in levels.items():
            for aspect, info in (v.get("scale_info") or {}).items():
                if aspect not in aspects:
                    self.c.fault(where, f"{name}: there is no aspect {aspect}")
                elif info["scale_level"] > aspects[aspect][1]["max_scale_level"]:
                    self.c.fault(where, f"{name}: {aspect} has no level {info['scale_level']}")
        for name, n in self.c.nodes.items():
            kind = n.get("type")
            if self.c.s.is_a("node_types", kind, "tosca.nodes.nfv.Vdu.Compute"):
                self.vdu(name, n, aspects, levels)
            elif self.c.s.is_a("node_types", kind, "tosca.nodes.nfv.VNF"):
                level = n["properties"].get("vnf_profile", {}).get("instantiation_level")
                if level and level not in levels:
                    self.c.fault(f"node_templates.{name}", f"vnf_profile: there is no level {level}")

    def vdu(self, name, n, aspects, levels):
        profile = n["properties"]["vdu_profile"]
        least, most = profile["min_number_of_instances"], profile["max_number_of_instances"]
        initial = sum(p["initial_delta"]["number_of_instances"] for _, p in self.one("VduInitialDelta", name))
        steps = {}
        for where, p in self.one("VduScalingAspectDeltas", name):
            if p["aspect"] not in aspects:
                self.c.fault(where, f"there is no aspect {p['aspect']}")
                continue
            for d in aspects[p["aspect"]][1].get("step_deltas") or []:
                if d not in p["deltas"]:
                    self.c.fault(where, f"has no delta {d}")
                    continue
                steps[p["aspect"]] = p["deltas"][d]["number_of_instances"]
        top = initial + sum(step * aspects[a][1]["max_scale_level"] for a, step in steps.items())
        if steps and (initial < least or top != most):
            self.c.fault(f"node_templates.{name}", f"scales from {initial} to {top} instances, its vdu_profile says {least} to {most}")
        for where, p in self.one("VduInstantiationLevels", name):
            if set(p["levels"]) != set(levels):
                self.c.fault(where, f"has levels {sorted(p['levels'])}, not {sorted(levels)}")
                continue
            for level, v in p["levels"].items():
                info = levels[level][1].get("scale_info") or {}
                want = initial + sum(steps.get(a, 0) * i["scale_level"] for a, i in info.items())
                if v["number_of_instances"] != want:
                    self.c.fault(where, f"{level}: {v['number_of_instances']} instances, by its scale levels {want}")


def check(service):
    """The faults of a descriptor."""
    return Check(service).run()


def images(service):
    """The software images: where each is told of, and its artifact."""
    for name, n in (service.topology.get("node_templates") or {}).items():
        for a, d in ((n or {}).get("artifacts") or {}).items():
            if d.get("type") == "tosca.artifacts.nfv.SwImage":
                yield f"node_templates.{name}.{a}", d


def identity(service):
    """The properties of the VNF's node, with their defaults."""
    for n in (service.topology.get("node_templates") or {}).values():
        kind = (n or {}).get("type")
        if service.is_a("node_types", kind, "tosca.nodes.nfv.VNF"):
            known = service.parts("node_types", kind, "properties")
            return {**{k: d["default"] for k, d in known.items() if "default" in d}, **(n.get("properties") or {})}
    return {}
