#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""bundle.py CONFIG NETNS STATE CONFIGURATION: makes the runtime configuration that umoci unpacked that of a container in a pod whose network
namespace is NETNS, with what docs/deploy-container.md names and no more."""
import json
import sys

CAPABILITIES = ["CAP_NET_ADMIN", "CAP_NET_RAW", "CAP_NET_BIND_SERVICE", "CAP_SYS_ADMIN", "CAP_IPC_LOCK", "CAP_DAC_OVERRIDE"]


def main():
    path, netns, state, configuration = sys.argv[1:]
    with open(path, encoding="utf-8") as file:
        config = json.load(file)
    process = config["process"]
    process["terminal"] = False
    process["rlimits"] = []
    process["capabilities"] = {kind: CAPABILITIES for kind in ("bounding", "effective", "permitted")}
    process["noNewPrivileges"] = True
    config["mounts"] = [mount for mount in config["mounts"] if mount["destination"] not in ("/sys/fs/cgroup", "/var/lib/millrace", "/etc/resolv.conf")]
    config["mounts"] += [
        {"destination": "/var/lib/millrace", "type": "bind", "source": state, "options": ["rbind", "rw"]},
        {"destination": "/etc/millrace", "type": "bind", "source": configuration, "options": ["rbind", "ro"]},
    ]
    linux = config["linux"]
    linux["namespaces"] = [{"type": "pid"}, {"type": "ipc"}, {"type": "uts"}, {"type": "mount"}, {"type": "network", "path": netns}]
    linux["devices"] = [{"path": "/dev/net/tun", "type": "c", "major": 10, "minor": 200, "fileMode": 0o666, "uid": 0, "gid": 0}]
    linux.pop("resources", None)
    linux.pop("seccomp", None)
    for kind in ("uidMappings", "gidMappings"):
        linux.pop(kind, None)
    config["hostname"] = "router"
    with open(path, "w", encoding="utf-8") as file:
        json.dump(config, file)


if __name__ == "__main__":
    main()
