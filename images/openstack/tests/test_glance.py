#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""upload.sh against a Keystone and a Glance of its own, on sqlite and files in a temporary folder.

Run in a network namespace with loopback only (run.sh makes one): the services have the usual ports. MILLRACE_IMAGE names an image to
upload beside the small one that is made here.
"""

import contextlib
import hashlib
import json
import os
import secrets
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
UPLOAD = os.path.join(HERE, "..", "upload.sh")

KEYSTONE = """[DEFAULT]
use_stderr = true
[database]
connection = sqlite:///{dir}/keystone.sqlite
[fernet_tokens]
key_repository = {dir}/fernet
[credential]
key_repository = {dir}/credential
[fernet_receipts]
key_repository = {dir}/fernet
[token]
provider = fernet
"""

GLANCE = """[DEFAULT]
use_stderr = true
bind_host = 127.0.0.1
bind_port = 9292
workers = 0
node_staging_uri = file://{dir}/staging
image_cache_dir = {dir}/cache
enabled_backends = disk:file
[glance_store]
default_backend = disk
[disk]
filesystem_store_datadir = {dir}/images
[database]
connection = sqlite:///{dir}/glance.sqlite
[keystone_authtoken]
www_authenticate_uri = http://127.0.0.1:5000
auth_url = http://127.0.0.1:5000
auth_type = password
project_domain_name = Default
user_domain_name = Default
project_name = admin
username = admin
password = {password}
[oslo_concurrency]
lock_path = {dir}/lock
[oslo_policy]
policy_file = {dir}/policy.yaml
[paste_deploy]
flavor = keystone
config_file = {dir}/paste.ini
"""

PASTE = """[composite:glance-api-keystone]
use = egg:Paste#urlmap
/ = api
/healthcheck = health
[pipeline:api]
pipeline = negotiate token context root
[composite:root]
paste.composite_factory = glance.api:root_app_factory
/ = versions
/v2 = v2
[app:versions]
paste.app_factory = glance.api.versions:create_resource
[app:v2]
paste.app_factory = glance.api.v2.router:API.factory
[app:health]
paste.app_factory = oslo_middleware:Healthcheck.app_factory
[filter:negotiate]
paste.filter_factory = glance.api.middleware.version_negotiation:VersionNegotiationFilter.factory
[filter:token]
paste.filter_factory = keystonemiddleware.auth_token:filter_factory
[filter:context]
paste.filter_factory = glance.api.middleware.context:ContextMiddleware.factory
"""


def run(*args, env=None, **kw):
    r = subprocess.run(args, capture_output=True, text=True, env=env, check=False, **kw)
    if r.returncode:
        raise RuntimeError(f"{' '.join(args)}: {r.returncode}\n{r.stdout[-3000:]}{r.stderr[-3000:]}")
    return r.stdout


def sha512(path):
    h = hashlib.sha512()
    with open(path, "rb") as f:
        while b := f.read(1 << 20):
            h.update(b)
    return h.hexdigest()


class Glance(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.dir = d = cls.enterClassContext(tempfile.TemporaryDirectory(prefix="millrace-glance-"))
        password = secrets.token_hex(16)
        cls.logs = {}
        # Nothing of this machine's configuration of OpenStack, nor of who runs the test.
        cls.env = {"PATH": os.environ["PATH"], "HOME": d, "LC_ALL": "C.UTF-8", "OS_AUTH_URL": "http://127.0.0.1:5000/v3", "OS_USERNAME": "admin",
                   "OS_PASSWORD": password, "OS_PROJECT_NAME": "admin", "OS_USER_DOMAIN_NAME": "Default", "OS_PROJECT_DOMAIN_NAME": "Default",
                   "OS_REGION_NAME": "lab", "OS_IDENTITY_API_VERSION": "3", "PYTHONWARNINGS": "ignore"}
        for sub in ("fernet", "credential", "images", "staging", "cache", "lock"):
            os.mkdir(os.path.join(d, sub), 0o700)
        for name, text in (("keystone.conf", KEYSTONE), ("glance-api.conf", GLANCE), ("paste.ini", PASTE), ("policy.yaml", "{{}}\n")):
            with open(os.path.join(d, name), "w", encoding="ascii") as f:
                f.write(text.format(dir=d, password=password))

        manage = ("keystone-manage", "--config-file", f"{d}/keystone.conf")
        own = ("--keystone-user", "root", "--keystone-group", "root")
        run(*manage, "db_sync", env=cls.env)
        run(*manage, "fernet_setup", *own, env=cls.env)
        run(*manage, "credential_setup", *own, env=cls.env)
        run(*manage, "bootstrap", "--bootstrap-password", password, "--bootstrap-region-id", "lab",
            *(a for i in ("public", "internal", "admin") for a in (f"--bootstrap-{i}-url", "http://127.0.0.1:5000/v3")), env=cls.env)
        run(sys.executable, "-c", "import sys; from glance.cmd.manage import main; sys.exit(main())",
            "--config-file", f"{d}/glance-api.conf", "db_sync", env=cls.env)
        cls.start("keystone", "http://127.0.0.1:5000/v3")
        cls.start("glance", "http://127.0.0.1:9292/healthcheck")
        cls.openstack("service", "create", "--name", "glance", "image")
        cls.openstack("endpoint", "create", "--region", "lab", "image", "public", "http://127.0.0.1:9292")

    @classmethod
    def start(cls, name, url):
        log = cls.enterClassContext(open(os.path.join(cls.dir, name + ".log"), "w+", encoding="utf-8"))
        cls.logs[name] = log.name
        p = subprocess.Popen([sys.executable, os.path.join(HERE, "service.py"), name, cls.dir], stdout=log, stderr=log, env=cls.env)

        def end():
            p.terminate()
            try:
                p.wait(20)
            except subprocess.TimeoutExpired:
                p.kill()
                p.wait()
        cls.addClassCleanup(end)
        deadline = time.monotonic() + 180
        while True:
            with contextlib.suppress(OSError):
                with urllib.request.urlopen(url, timeout=10):
                    return
            if p.poll() is not None or time.monotonic() > deadline:
                with open(log.name, encoding="utf-8") as f:
                    raise RuntimeError(f"{name} does not answer at {url}:\n{f.read()[-4000:]}")
            time.sleep(0.3)

    def run(self, result=None):
        before = len(result.errors) + len(result.failures) if result else 0
        super().run(result)
        if result and len(result.errors) + len(result.failures) > before:
            for name, log in self.logs.items():
                with open(log, encoding="utf-8") as f:
                    print(f"{name} said:\n{f.read()[-3000:]}", file=sys.stderr)

    @classmethod
    def openstack(cls, *args):
        out = run("openstack", *args, "-f", "json", env=cls.env)
        return json.loads(out) if out.strip() else None

    def upload(self, *args):
        return run(UPLOAD, *args, env=self.env).strip()

    def refused(self, words, *args):
        r = subprocess.run((UPLOAD, *args), capture_output=True, text=True, env=self.env, check=False)
        self.assertNotEqual(r.returncode, 0, r.stdout)
        self.assertIn(words, r.stderr)

    def image(self, name, size="3G"):
        path = os.path.join(self.dir, name)
        run("qemu-img", "create", "-q", "-f", "qcow2", path, size)
        with open(path, "r+b") as f:
            f.seek(0, os.SEEK_END)
            f.write(os.urandom(300000))
        return path

    def check(self, i, path, properties):
        """The image is there as it should be, and comes back as it was."""
        shown = self.openstack("image", "show", i)
        self.assertEqual((shown["status"], shown["disk_format"], shown["container_format"], shown["min_ram"]), ("active", "qcow2", "bare", 2048))
        got = shown["properties"]
        self.assertEqual(got["os_hash_value"], sha512(path))
        # The client makes its own type of some of them.
        self.assertEqual({k: str(got.get(k)) for k in properties}, {k: "True" if v == "true" else v for k, v in properties.items()})
        self.assertEqual(self.nova_rules(got), [])
        back = os.path.join(self.dir, "back")
        run("openstack", "image", "save", "--file", back, i, env=self.env)
        self.assertEqual(sha512(back), sha512(path))
        return shown

    def nova_rules(self, properties):
        """What Nova's own code says to them."""
        asked = {k: str(v) for k, v in properties.items() if not isinstance(v, dict)}
        out = run(sys.executable, os.path.join(HERE, "nova_rules.py"), input=json.dumps({"image": asked}) + "\n", env=self.env)
        return json.loads(out)

    def test_upload(self):
        path = self.image("small.qcow2")
        first = self.upload("--version", "0.5.0", path)
        usual = {
            "architecture": "x86_64", "os_type": "linux", "os_distro": "debian", "hw_machine_type": "q35", "hw_firmware_type": "uefi",
            "hw_disk_bus": "virtio", "hw_vif_model": "virtio", "hw_vif_multiqueue_enabled": "true", "hw_rng_model": "virtio",
            "hw_qemu_guest_agent": "yes", "trait:HW_CPU_X86_SSE42": "required"}
        shown = self.check(first, path, {**usual, "millrace_version": "0.5.0"})
        self.assertEqual((shown["name"], shown["visibility"], shown["min_disk"]), ("millrace", "private", 3))
        self.assertNotIn("hw_mem_page_size", shown["properties"])

        # Another of the name takes --replace, after which the name is the new one's.
        self.refused("--replace", path)
        other = self.image("other.qcow2", "3073M")
        second = self.upload("--replace", "--public", "--hugepages", "--viommu", "intel", "--firmware", "bios", "--property", "hw_vif_model=e1000e",
                             "--property", "owner_team=edge=1", other)
        shown = self.check(second, other, {**usual, "hw_firmware_type": "bios", "hw_mem_page_size": "large", "hw_viommu_model": "intel",
                                           "hw_vif_model": "e1000e", "owner_team": "edge=1"})
        self.assertEqual((shown["visibility"], shown["min_disk"]), ("public", 4))
        names = {i["ID"]: i["Name"] for i in self.openstack("image", "list")}
        self.assertEqual((names[first], names[second]), (f"millrace-{first}", "millrace"))

    def test_damaged(self):
        """What Glance got is not what was to be sent: it does not stay there."""
        path = self.image("damaged.qcow2")
        folder = os.path.join(self.dir, "bin")
        os.mkdir(folder)
        with open(os.path.join(folder, "openstack"), "w", encoding="ascii") as f:
            f.write('#!/bin/sh\n[ "$1 $2" = "image create" ] && echo x >>"$4"\nexec /usr/bin/openstack "$@"\n')
            os.fchmod(f.fileno(), 0o755)
        # The hash of the file is told as it was before.
        with open(os.path.join(folder, "sha512sum"), "w", encoding="ascii") as f:
            f.write(f'#!/bin/sh\necho {sha512(path)}  "$1"\n')
            os.fchmod(f.fileno(), 0o755)
        r = subprocess.run((UPLOAD, "--name", "damaged", path), capture_output=True, text=True, check=False,
                           env={**self.env, "PATH": folder + ":" + self.env["PATH"]})
        self.assertNotEqual(r.returncode, 0)
        self.assertIn("Glance stored something else", r.stderr)
        self.assertNotIn("damaged", [i["Name"] for i in self.openstack("image", "list")])

    def test_refused(self):
        path = self.image("refused.qcow2")
        raw = os.path.join(self.dir, "raw")
        with open(raw, "wb") as f:
            f.write(bytes(4096))
        for words, *args in (("which image",), ("cannot be read", path + "x"), ("no qcow2", raw), ("--viommu", "--viommu", "amd", path),
                             ("--firmware", "--firmware", "openboot", path), ("KEY=VALUE", "--property", "hw", path), ("no such option", "--fast", path),
                             ("needs a value", path, "--name"), ("one image", path, raw)):
            with self.subTest(words):
                self.refused(words, *args)
        bad = self.nova_rules({"hw_viommu_model": "amd", "hw_firmware_type": "uefi", "hw_vif_multiqeue": "true"})
        self.assertEqual(len(bad), 2, bad)

    def test_built_image(self):
        path = os.environ.get("MILLRACE_IMAGE", "")
        if not os.path.exists(path):
            self.skipTest("no image is built")
        self.check(self.upload("--name", "built", path), path, {"hw_machine_type": "q35"})


if __name__ == "__main__":
    unittest.main(verbosity=2)
