#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Packs the descriptor and the image into a CSAR after ETSI GS NFV-SOL 004 v2.7.1 or later, signed (option 1: hashes of all files in the manifest, which
is signed). The same arguments make the same package but for the signature's time."""

import argparse
import hashlib
import os
import re
import struct
import subprocess
import sys
import tempfile
import urllib.parse
import uuid
import zipfile

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.join(HERE, "..", "..")

# Of the package, in which the checksum of the image is as well.
NAMESPACE = uuid.UUID("5a6e1b1e-4c73-4c86-9a0b-3b1b0a2f8c54")


class Fault(Exception):
    pass


def fill(text, values):
    """Replaces the words between @; every one has to be known."""
    def value(m):
        if m.group(1) not in values:
            raise Fault(f"@{m.group(1)}@: there is no such value")
        return values[m.group(1)]
    return re.sub(r"@([A-Z0-9_]+)@", value, text)


def read(*path):
    with open(os.path.join(*path), encoding="utf-8") as f:
        return f.read()


def image_facts(path):
    """Checksum, size in bytes and virtual size of a qcow2."""
    h = hashlib.sha256()
    with open(path, "rb") as f:
        head = f.read(32)
        if len(head) < 32 or head[:4] != b"QFI\xfb":
            raise Fault(f"{path} is no qcow2")
        f.seek(0)
        while block := f.read(1 << 20):
            h.update(block)
    return h.hexdigest(), os.path.getsize(path), struct.unpack(">Q", head[24:32])[0]


def openssl(*args, **kw):
    r = subprocess.run(("openssl",) + args, capture_output=True, check=False, **kw)
    if r.returncode:
        raise Fault(f"openssl {args[0]}: {r.stderr.decode(errors='replace').strip()}")
    return r.stdout


def sign(manifest, key, certificate):
    """The manifest with its signature below: CMS, detached, PEM. The signer's certificate is a file of the package."""
    with tempfile.NamedTemporaryFile() as f:
        f.write(manifest)
        f.flush()
        return manifest + openssl("cms", "-sign", "-binary", "-nosmimecap", "-nocerts", "-md", "sha256", "-signer", certificate, "-inkey", key,
                                  "-outform", "PEM", "-in", f.name)


def contents(a):
    """The files of the package, by name: their content, or for the image the path to it; and what is referred to outside."""
    digest, size, virtual = image_facts(a.image)
    if a.image_url and urllib.parse.urlsplit(a.image_url).scheme not in ("http", "https"):
        raise Fault(f"--image-url: {a.image_url} is not http or https")
    for what, value in (("--version", a.version), ("--date", a.date)):
        if not re.fullmatch(r"[0-9A-Za-z.+:~_-]+", value):
            raise Fault(f"{what}: {value!r} has characters that do not belong there")
    inside = "Files/images/millrace.qcow2"
    values = {
        "PACKAGE_VERSION": a.version, "SOFTWARE_VERSION": a.version, "VNFD_ID": str(uuid.uuid5(NAMESPACE, a.version + digest)),
        "IMAGE_FILE": a.image_url or "../" + inside, "IMAGE_SHA256": digest, "IMAGE_SIZE": f"{size} B",
        "IMAGE_MIN_DISK": f"{-(-virtual // (1 << 30))} GiB",
    }
    files = {}
    for name in ("millrace.yaml", "millrace_types.yaml"):
        files["Definitions/" + name] = fill(read(HERE, "definitions", name), values).encode()
    files["ChangeLog.txt"] = read(TOP, "CHANGELOG.md").encode()
    files["Licenses/LICENSE"] = read(TOP, "LICENSE").encode()
    for name in sorted(os.listdir(os.path.join(HERE, "files"))):
        files["Files/Tests/" + name] = fill(read(HERE, "files", name), values).encode()
    with open(a.certificate, "rb") as f:
        files["Files/millrace.cert"] = openssl("x509", "-outform", "PEM", input=f.read())
    files["TOSCA-Metadata/TOSCA.meta"] = "\n".join((
        "TOSCA-Meta-File-Version: 1.1", "CSAR-Version: 1.1", "Created-By: Millrace", "Entry-Definitions: Definitions/millrace.yaml",
        "ETSI-Entry-Manifest: millrace.mf", "ETSI-Entry-Change-Log: ChangeLog.txt", "ETSI-Entry-Tests: Files/Tests",
        "ETSI-Entry-Licenses: Licenses", "ETSI-Entry-Certificate: Files/millrace.cert", "")).encode()
    hashes = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    hashes[a.image_url or inside] = digest
    manifest = ["metadata:", "  vnf_product_name: Millrace", "  vnf_provider_id: Millrace", f"  vnf_package_version: {a.version}",
                f"  vnf_release_date_time: {a.date}", f"  vnfd_id: {values['VNFD_ID']}",
                "  compatible_specification_versions: 2.7.1,3.3.1,4.4.1"]
    for name in sorted(hashes):
        manifest += ["", f"Source: {name}", "Algorithm: SHA-256", f"Hash: {hashes[name]}"]
    files["millrace.mf"] = sign(("\n".join(manifest) + "\n").encode(), a.key, a.certificate)
    if not a.image_url:
        files[inside] = a.image
    return files


def pack(files, out):
    """Writes the package; first TOSCA.meta, as readers of streams want it."""
    part = out + ".part"
    with zipfile.ZipFile(part, "w") as z:
        for name in sorted(files, key=lambda n: (n != "TOSCA-Metadata/TOSCA.meta", n)):
            info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            info.external_attr = 0o644 << 16
            data = files[name]
            # The image is compressed as it is.
            info.compress_type = zipfile.ZIP_DEFLATED if isinstance(data, bytes) else zipfile.ZIP_STORED
            if isinstance(data, bytes):
                z.writestr(info, data)
                continue
            info.file_size = os.path.getsize(data)
            with open(data, "rb") as f, z.open(info, "w") as w:
                while block := f.read(1 << 20):
                    w.write(block)
    os.replace(part, out)


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--image", required=True, help="the qcow2")
    p.add_argument("--image-url", default="", help="where the qcow2 is to be fetched; it is then not in the package")
    p.add_argument("--version", required=True, help="of the software and of the package")
    p.add_argument("--date", required=True, help="of the release, RFC 3339")
    p.add_argument("--key", required=True, help="private key (PEM) that signs")
    p.add_argument("--certificate", required=True, help="its certificate (PEM)")
    p.add_argument("--out", required=True, help="the CSAR")
    a = p.parse_args()
    try:
        pack(contents(a), a.out)
    except (Fault, OSError) as e:
        sys.exit(f"build.py: {e}")


if __name__ == "__main__":
    main()
