#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes what the VM image is made of as a CycloneDX 1.5 document: Debian's packages, ours, the Go modules in our programs, the kernel module and the boot loader.

Nothing in it is the time of day or random: the same image gives the same document.
"""

import argparse
import datetime
import json
import os
import re
import subprocess
import sys
import uuid
from urllib.parse import quote

import licences

TEXT = "utf-8"


def fields(paragraph):
    """The fields of one paragraph of a file in the format of Debian's control files; continued lines are joined by newlines."""
    found, name = {}, None
    for line in paragraph.splitlines():
        if line[:1] in " \t":
            if name:
                found[name] += "\n" + line.strip()
        elif ":" in line:
            name, value = line.split(":", 1)
            found[name] = value.strip()
    return found


def debian_packages(root):
    """The installed packages, as their fields in dpkg's status file, by name."""
    with open(f"{root}/var/lib/dpkg/status", encoding=TEXT) as file:
        paragraphs = [fields(p) for p in file.read().split("\n\n")]
    return {p["Package"]: p for p in paragraphs if p.get("Status", "").endswith(" installed")}


def dependencies(package, names, provided):
    """Names of the installed packages that package depends on; alternatives that are not installed are left out."""
    found = set()
    for field in ("Pre-Depends", "Depends"):
        for wanted in re.split(r"[,|]", package.get(field, "").replace("\n", " ")):
            name = re.split(r"[\s:(]", wanted.strip(), maxsplit=1)[0]
            if name in names:
                found.add(name)
            else:
                found.update(provided.get(name, ()))
    found.discard(package["Package"])
    return found


def debian_component(package, root):
    name, version = package["Package"], package["Version"]
    ours = name.startswith("millrace-")
    component = {
        "type": "application" if ours else "library",
        "bom-ref": f"deb/{name}",
        "name": name,
        "version": version,
        "purl": f"pkg:deb/debian/{quote(name)}@{quote(version, safe='')}?arch={package['Architecture']}&distro=debian-12",
    }
    if ours:
        component["purl"] = f"pkg:deb/millrace/{quote(name)}@{quote(version, safe='')}?arch={package['Architecture']}"
    if "Maintainer" in package:
        component["supplier"] = {"name": re.sub(r"\s*<.*", "", package["Maintainer"])}
    if "Description" in package:
        component["description"] = package["Description"].split("\n")[0]
    if "Homepage" in package:
        component["externalReferences"] = [{"type": "website", "url": package["Homepage"]}]
    source = re.sub(r"\s*\(.*", "", package.get("Source", name))
    if not ours:
        component["properties"] = [{"name": "debian:source", "value": source}]
    declared = licences.of_debian(f"{root}/usr/share/doc/{name}/copyright")
    if declared:
        component["licenses"] = declared
    return component


def go_modules(program):
    """(path, version, replaced by a folder) of the Go program's main module and of the modules in it, as `go version -m` tells."""
    output = subprocess.run(["go", "version", "-m", program], check=True, capture_output=True, text=True).stdout
    toolchain = output.splitlines()[0].rsplit(" ", 1)[-1]
    modules = []
    for line in output.splitlines():
        parts = line.split("\t")[1:]
        if parts[:1] == ["dep"]:
            modules.append((parts[1], parts[2]))
        elif parts[:1] == ["=>"]:
            modules[-1] = (parts[1], parts[2])
    return toolchain, modules


def go_component(path, version):
    component = {
        "type": "library",
        "bom-ref": f"go/{path}@{version}",
        "name": path,
        "version": version,
        "purl": f"pkg:golang/{quote(path)}@{quote(version)}",
    }
    declared = licences.of_go_module(path, version)
    if declared:
        component["licenses"] = declared
    return component


def built_in(name, version, licence, purl, description, ref):
    return {"type": "library", "bom-ref": ref, "name": name, "version": version, "purl": purl, "description": description,
            "licenses": [{"license": {"id": licence}}]}


def document(args):
    """The whole document."""
    packages = debian_packages(args.root)
    provided = {}
    for package in packages.values():
        for name in re.split(r"[,\s]+", re.sub(r"\([^)]*\)", "", package.get("Provides", ""))):
            provided.setdefault(name, set()).add(package["Package"])
    components = {c["bom-ref"]: c for c in (debian_component(p, args.root) for p in packages.values())}
    edges = {f"deb/{n}": {f"deb/{d}" for d in dependencies(p, packages, provided)} for n, p in packages.items()}

    for package, program in (("millrace-vnf", "vnf"), ("millrace-vnfctl", "vnfctl")):
        if f"deb/{package}" not in edges:
            continue
        toolchain, modules = go_modules(f"{args.root}/usr/bin/{program}")
        for component in [go_component(*m) for m in modules]:
            components[component["bom-ref"]] = component
            edges[f"deb/{package}"].add(component["bom-ref"])
        ref = f"go/stdlib@{toolchain}"
        components[ref] = built_in("go", toolchain.removeprefix("go"), "BSD-3-Clause", f"pkg:golang/stdlib@{toolchain.removeprefix('go')}",
                                   "Go's standard library and runtime", ref)
        edges[f"deb/{package}"].add(ref)

    top = {f"deb/{n}" for n in packages}
    for name, version, licence, description in (
            ("igb_uio", args.igb_uio, "GPL-2.0-only", "kernel module of Debian's source package dpdk-kmods, compiled for the image's kernel"),
            ("grub", args.grub, "GPL-3.0-or-later", "boot loader in the BIOS boot partition and the EFI system partition, of Debian's package grub2")):
        if version:
            ref = f"image/{name}"
            source = {"igb_uio": "dpdk-kmods", "grub": "grub2"}[name]
            components[ref] = built_in(name, version, licence, f"pkg:deb/debian/{source}@{quote(version, safe='')}?arch=source&distro=debian-12",
                                       description, ref)
            top.add(ref)

    when = datetime.datetime.fromtimestamp(int(os.environ.get("SOURCE_DATE_EPOCH", "0")), datetime.timezone.utc)
    main = {"type": "operating-system", "bom-ref": "millrace-image", "name": "millrace.qcow2", "version": args.version,
            "description": "VM image of the Millrace router", "licenses": [{"license": {"id": "Apache-2.0"}}],
            "properties": [{"name": "millrace:commit", "value": args.commit}]}
    edges["millrace-image"] = top
    inventory = sorted(components)
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.5.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, 'millrace ' + args.commit + ' ' + ' '.join(inventory))}",
        "version": 1,
        "metadata": {"timestamp": when.strftime("%Y-%m-%dT%H:%M:%SZ"), "component": main, "supplier": {"name": "Millrace"}},
        "components": [components[ref] for ref in inventory],
        "dependencies": [{"ref": ref, "dependsOn": sorted(edges.get(ref, ()))} for ref in sorted({"millrace-image", *inventory})],
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", required=True, help="root filesystem of the image")
    parser.add_argument("--version", required=True)
    parser.add_argument("--commit", required=True)
    parser.add_argument("--igb-uio", default="", help="version of Debian's dpdk-kmods, of which the kernel module was made")
    parser.add_argument("--grub", default="", help="version of Debian's grub2")
    parser.add_argument("--output", required=True)
    args = parser.parse_args()
    try:
        made = document(args)
    except subprocess.CalledProcessError as error:
        sys.exit(f"sbom: {' '.join(error.cmd)}: {error.stderr.strip()}")
    with open(args.output, "w", encoding=TEXT) as file:
        json.dump(made, file, indent=1, ensure_ascii=False, sort_keys=True)
        file.write("\n")


if __name__ == "__main__":
    main()
