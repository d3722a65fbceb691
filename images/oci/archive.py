#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Packs directories, each as a layer, into an OCI image layout in a tar archive. The same input gives the same bytes."""
import argparse
import datetime
import gzip
import hashlib
import io
import json
import os
import tarfile


def layer(directory, time):
    """The tar of a directory: sorted, of numeric owners, no file newer than time."""
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for folder, folders, files in os.walk(directory):
            folders.sort()
            links = [name for name in folders if os.path.islink(os.path.join(folder, name))]
            for name in sorted(folders + files):
                path = os.path.join(folder, name)
                entry = tar.gettarinfo(path, os.path.relpath(path, directory))
                entry.mtime = min(int(entry.mtime), time)
                entry.uname = entry.gname = ""
                if entry.isreg():
                    with open(path, "rb") as data:
                        tar.addfile(entry, data)
                else:
                    tar.addfile(entry)
            folders[:] = [name for name in folders if name not in links]
    return plain.getvalue()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--version", required=True)
    parser.add_argument("--revision", required=True)
    parser.add_argument("--time", type=int, required=True)
    parser.add_argument("--output", required=True)
    parser.add_argument("directories", nargs="+")
    options = parser.parse_args()
    created = datetime.datetime.fromtimestamp(options.time, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    blobs = {}

    def blob(data, kind):
        digest = hashlib.sha256(data).hexdigest()
        blobs[digest] = data
        return {"mediaType": kind, "digest": "sha256:" + digest, "size": len(data)}

    layers, plain_digests, history = [], [], []
    for directory, what in zip(options.directories, ("Debian packages", "Millrace " + options.version)):
        plain = layer(directory, options.time)
        plain_digests.append("sha256:" + hashlib.sha256(plain).hexdigest())
        layers.append(blob(gzip.compress(plain, 9, mtime=0), "application/vnd.oci.image.layer.v1.tar+gzip"))
        history.append({"created": created, "created_by": what})
    labels = {
        "org.opencontainers.image.title": "Millrace",
        "org.opencontainers.image.description": "A router and TCP terminator on DPDK, managed over gNMI and gRPC",
        "org.opencontainers.image.licenses": "Apache-2.0",
        "org.opencontainers.image.version": options.version,
        "org.opencontainers.image.revision": options.revision,
        "org.opencontainers.image.created": created,
    }
    config = blob(json.dumps({
        "created": created,
        "architecture": "amd64",
        "os": "linux",
        "config": {
            "Env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "MILLRACE_ADDRESS=unix:/run/millrace/vnf.sock"],
            "Entrypoint": ["/usr/bin/vnf", "run"],
            "Cmd": ["--config", "/etc/millrace/startup.yaml"],
            "WorkingDir": "/",
            # What was configured, and the certificates.
            "Volumes": {"/var/lib/millrace": {}},
            "ExposedPorts": {"9339/tcp": {}},
            "StopSignal": "SIGTERM",
            "Labels": labels,
        },
        "rootfs": {"type": "layers", "diff_ids": plain_digests},
        "history": history,
    }, sort_keys=True).encode(), "application/vnd.oci.image.config.v1+json")
    manifest = blob(json.dumps({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": config,
        "layers": layers,
        "annotations": labels,
    }, sort_keys=True).encode(), "application/vnd.oci.image.manifest.v1+json")
    manifest["platform"] = {"architecture": "amd64", "os": "linux"}
    manifest["annotations"] = {"org.opencontainers.image.ref.name": "millrace:latest"}
    index = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [manifest]}

    files = {"oci-layout": json.dumps({"imageLayoutVersion": "1.0.0"}).encode(), "index.json": json.dumps(index, sort_keys=True).encode()}
    for digest, data in blobs.items():
        files["blobs/sha256/" + digest] = data
    with tarfile.open(options.output + ".new", "w", format=tarfile.GNU_FORMAT) as tar:
        for name in ("blobs", "blobs/sha256"):
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode, entry.mtime = tarfile.DIRTYPE, 0o755, options.time
            tar.addfile(entry)
        for name in sorted(files):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode, entry.mtime = len(files[name]), 0o644, options.time
            tar.addfile(entry, io.BytesIO(files[name]))
    os.replace(options.output + ".new", options.output)
    print(f"{options.output}: {os.path.getsize(options.output) / 1e6:.1f} MB, image sha256:{manifest['digest'][7:19]}")


if __name__ == "__main__":
    main()
