#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Checks a CSAR: its files against the signed manifest (ETSI GS NFV-SOL 004), its descriptor against the types (NFV-SOL 001).

Prints every fault, one a line, and ends with 1 if there is any.
"""

import argparse
import hashlib
import os
import posixpath
import re
import subprocess
import sys
import tempfile
import zipfile

import yaml

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import descriptor  # noqa: E402

META = "TOSCA-Metadata/TOSCA.meta"
KEYS = ("TOSCA-Meta-File-Version", "CSAR-Version", "Created-By", "Entry-Definitions", "ETSI-Entry-Manifest", "ETSI-Entry-Change-Log")
PLACES = ("Entry-Definitions", "ETSI-Entry-Manifest", "ETSI-Entry-Change-Log", "ETSI-Entry-Tests", "ETSI-Entry-Licenses", "ETSI-Entry-Certificate")
FIELDS = ("vnf_product_name", "vnf_provider_id", "vnf_package_version", "vnf_release_date_time")
HASHES = {"SHA-224": hashlib.sha224, "SHA-256": hashlib.sha256, "SHA-384": hashlib.sha384, "SHA-512": hashlib.sha512}
BEGIN = b"-----BEGIN CMS-----"


class Package:
    """A CSAR, read as far as it can be. What is wrong with it is in faults."""

    def __init__(self, path, ca=None):
        self.faults, self.ca = [], ca
        with zipfile.ZipFile(path) as self.zip:
            self.names = self.members()
            meta = self.meta()
            if meta:
                self.manifest(meta)
                self.descriptor(meta)

    def fault(self, text):
        self.faults.append(text)

    def members(self):
        names = set()
        for info in self.zip.infolist():
            n = info.filename
            if n.startswith("/") or "\\" in n or ".." in n.split("/") or (info.external_attr >> 28) == 0o12:
                self.fault(f"{n}: a name or link that leads out of the package")
            elif n in names:
                self.fault(f"{n}: is there twice")
            names.add(n)
        return {n for n in names if not n.endswith("/")}

    def read(self, name):
        return self.zip.read(name)

    def has(self, name):
        """A file, or a folder with something in it."""
        return name in self.names or any(n.startswith(name.rstrip("/") + "/") for n in self.names)

    def meta(self):
        if META not in self.names:
            self.fault(f"{META}: is missing")
            return None
        values = {}
        # Block 0 ends with an empty line.
        for line in self.read(META).decode("utf-8", "replace").split("\n\n")[0].splitlines():
            key, colon, value = line.partition(": ")
            if not colon or key in values:
                self.fault(f"{META}: {line!r} is not KEY: VALUE, or is there twice")
            values[key] = value.strip()
        for key in KEYS:
            if not values.get(key):
                self.fault(f"{META}: {key} is missing")
        for key in PLACES:
            if key in values and not self.has(values[key]):
                self.fault(f"{META}: {key}: there is no {values[key]}")
        return values

    def manifest(self, meta):
        name = meta.get("ETSI-Entry-Manifest", "")
        if name not in self.names:
            return
        raw = self.read(name)
        at = raw.find(BEGIN)
        signed = raw if at < 0 else raw[:at]
        lines = signed.decode("utf-8", "replace").splitlines()
        self.metadata(name, lines)
        listed = self.sources(name, lines)
        for n in sorted(self.names - {name} - set(listed)):
            self.fault(f"{n}: is in the package, but not in {name}")
        if at < 0:
            self.fault(f"{name}: is not signed")
        else:
            self.signature(name, signed, raw[at:], meta.get("ETSI-Entry-Certificate"))

    def metadata(self, name, lines):
        fields = {}
        if not lines or lines[0].strip() != "metadata:":
            self.fault(f"{name}: does not begin with metadata:")
        for line in lines[1:]:
            m = re.fullmatch(r"\s+([a-z_]+): *(.+)", line)
            if not m:
                break
            fields[m.group(1)] = m.group(2)
        for f in FIELDS:
            if f not in fields:
                self.fault(f"{name}: metadata has no {f}")
        if not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", fields.get("vnf_release_date_time", "2000-01-01T00:00:00Z")):
            self.fault(f"{name}: vnf_release_date_time {fields['vnf_release_date_time']} is no time of RFC 3339")
        self.fields = fields

    def sources(self, name, lines):
        listed, entry = {}, {}
        for line in lines + [""]:
            key, colon, value = line.partition(": ")
            if colon and key in ("Source", "Algorithm", "Hash"):
                entry[key] = value.strip()
            elif entry:
                self.source(name, entry, listed)
                entry = {}
        return listed

    def source(self, name, entry, listed):
        where = entry.get("Source", "")
        if set(entry) != {"Source", "Algorithm", "Hash"}:
            self.fault(f"{name}: an entry with {', '.join(sorted(entry))} only ({where})")
            return
        if where in listed:
            self.fault(f"{name}: {where} is listed twice")
        listed[where] = entry["Hash"].lower()
        if re.match(r"https?://", where):
            return
        if where not in self.names:
            self.fault(f"{where}: is in {name}, but not in the package")
            return
        make = HASHES.get(entry["Algorithm"])
        if not make:
            self.fault(f"{where}: hash algorithm {entry['Algorithm']} is none of {', '.join(HASHES)}")
            return
        h = make()
        with self.zip.open(where) as f:
            while block := f.read(1 << 20):
                h.update(block)
        if h.hexdigest() != entry["Hash"].lower():
            self.fault(f"{where}: its {entry['Algorithm']} is {h.hexdigest()}, the manifest says {entry['Hash']}")

    def signature(self, name, signed, cms, certificate):
        if not certificate or certificate not in self.names:
            self.fault(f"{META}: ETSI-Entry-Certificate names no file")
            return
        with tempfile.TemporaryDirectory() as d:
            def put(n, data):
                p = os.path.join(d, n)
                with open(p, "wb") as f:
                    f.write(data)
                return p
            cert = put("certificate", self.read(certificate))
            trust = ("-CAfile", self.ca) if self.ca else ("-CAfile", cert, "-partial_chain")
            r = subprocess.run(("openssl", "cms", "-verify", "-binary", "-inform", "PEM", "-in", put("cms", cms), "-content", put("content", signed),
                                "-certfile", cert, "-purpose", "any", *trust, "-out", os.devnull), capture_output=True, text=True, check=False)
            if r.returncode:
                why = " ".join(r.stderr.split())
                self.fault(f"{name}: the signature is wrong: {why[:300]}")

    def descriptor(self, meta):
        entry = meta.get("Entry-Definitions", "")
        if entry not in self.names:
            return
        try:
            service = descriptor.load(entry, lambda n: self.read(n).decode())
        except (descriptor.Fault, yaml.YAMLError, KeyError, UnicodeDecodeError) as e:
            self.fault(f"{entry}: {e}")
            return
        for f in descriptor.check(service):
            self.fault(f"{entry}: {f}")
        self.identity(entry, service)
        for where, artifact in descriptor.images(service):
            self.image(entry, where, artifact)

    def identity(self, entry, service):
        """The manifest and the descriptor speak of the same."""
        own = descriptor.identity(service)
        for field, key in (("vnfd_id", "descriptor_id"), ("vnf_provider_id", "provider"), ("vnf_product_name", "product_name"),
                           ("vnf_package_version", "descriptor_version")):
            said = getattr(self, "fields", {}).get(field)
            if said and own.get(key) and said != str(own[key]):
                self.fault(f"{entry}: {key} is {own[key]}, the manifest's {field} {said}")

    def image(self, entry, where, artifact):
        p = artifact.get("properties", {})
        file = str(artifact.get("file", ""))
        checksum = p.get("checksum", {})
        if re.match(r"https?://", file):
            return
        name = posixpath.normpath(posixpath.join(posixpath.dirname(entry), file))
        if name not in self.names:
            self.fault(f"{entry}: {where}: there is no {name}")
            return
        size = self.zip.getinfo(name).file_size
        if "size" in p and descriptor.scalar("scalar-unit.size", p["size"]) != size:
            self.fault(f"{entry}: {where}: {name} has {size} bytes, not {p['size']}")
        make = HASHES.get(str(checksum.get("algorithm", "")).upper())
        if not make:
            return
        h = make()
        with self.zip.open(name) as f:
            while block := f.read(1 << 20):
                h.update(block)
        if h.hexdigest() != checksum.get("hash"):
            self.fault(f"{entry}: {where}: the checksum of {name} is {h.hexdigest()}, not {checksum.get('hash')}")


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("csar")
    p.add_argument("--ca", help="authorities (PEM) one of which the signer's certificate must come from; without, the certificate in the package is believed")
    a = p.parse_args()
    try:
        faults = Package(a.csar, a.ca).faults
    except (OSError, zipfile.BadZipFile) as e:
        sys.exit(f"{a.csar}: {e}")
    for f in faults:
        print(f)
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
