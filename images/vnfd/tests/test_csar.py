#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The package: what build.py makes is found right by our validator, by openssl and by a TOSCA processor of others (PUCCINI names its
program), and what is wrong with a package is found. MILLRACE_CSAR names a built package to check as well."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
import zipfile

HERE = os.path.dirname(os.path.abspath(__file__))
VNFD = os.path.join(HERE, "..")
sys.path.insert(0, VNFD)
import build  # noqa: E402
import descriptor  # noqa: E402
import validate  # noqa: E402

MANIFEST, MAIN, TYPES, CERT = "millrace.mf", "Definitions/millrace.yaml", "Definitions/millrace_types.yaml", "Files/millrace.cert"
ETSI = "https://forge.etsi.org/rep/nfv/SOL001/raw/v4.4.1/etsi_nfv_sol001_vnfd_types.yaml"
DATE = "2026-11-22T07:00:00+00:00"


def run(*args, **kw):
    return subprocess.run(args, capture_output=True, text=True, check=False, **kw)


class CSAR(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.dir = cls.enterClassContext(tempfile.TemporaryDirectory(prefix="millrace-csar-"))
        cls.image = cls.path("image.qcow2")
        # The head of a qcow2 (version 3) of 3 GiB, and something to hash.
        with open(cls.image, "wb") as f:
            f.write(b"QFI\xfb" + (3).to_bytes(4, "big") + bytes(16) + (3 << 30).to_bytes(8, "big") + os.urandom(300000))
        # The vendor's authority, the key that signs, and a stranger's.
        for name, issuer in (("ca", None), ("signer", "ca"), ("stranger", None)):
            args = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30", "-subj", f"/CN={name}",
                    "-keyout", cls.path(name + ".key"), "-out", cls.path(name + ".pem")]
            if issuer:
                args += ["-CA", cls.path("ca.pem"), "-CAkey", cls.path("ca.key"), "-addext", "basicConstraints=critical,CA:FALSE"]
            r = run(*args)
            if r.returncode:
                raise RuntimeError(r.stderr)
        cls.csar = cls.build("millrace.csar")

    @classmethod
    def path(cls, name):
        return os.path.join(cls.dir, name)

    @classmethod
    def build(cls, out, *more, signer="signer"):
        r = run(sys.executable, os.path.join(VNFD, "build.py"), "--image", cls.image, "--version", "0.5.0", "--date", DATE,
                "--key", cls.path(signer + ".key"), "--certificate", cls.path(signer + ".pem"), "--out", cls.path(out), *more)
        if r.returncode:
            raise RuntimeError(r.stderr)
        return cls.path(out)

    def faults(self, csar, ca="ca.pem"):
        return validate.Package(csar, self.path(ca) if ca else None).faults

    def files(self, csar=None):
        with zipfile.ZipFile(csar or self.csar) as z:
            return {i.filename: z.read(i) for i in z.infolist()}

    def write(self, files, more=()):
        out = self.path("changed.csar")
        with zipfile.ZipFile(out, "w") as z:
            for n, data in [*files.items(), *more]:
                z.writestr(n, data)
        return out

    def sealed(self, change):
        """A package with other content, its hashes and its signature right."""
        files = self.files()
        change(files)
        head = files[MANIFEST].split(validate.BEGIN)[0].decode()
        meta = head.split("\nSource:")[0].rstrip()
        text = meta + "\n"
        for n in sorted(set(files) - {MANIFEST}):
            text += f"\nSource: {n}\nAlgorithm: SHA-256\nHash: {validate.HASHES['SHA-256'](files[n]).hexdigest()}\n"
        files[MANIFEST] = build.sign(text.encode(), self.path("signer.key"), self.path("signer.pem"))
        return self.write(files)

    # What is right.

    def test_valid(self):
        self.assertEqual(self.faults(self.csar), [])
        self.assertEqual(self.faults(self.csar, None), [])
        self.assertEqual(run(sys.executable, os.path.join(VNFD, "validate.py"), "--ca", self.path("ca.pem"), self.csar).returncode, 0)
        files = self.files()
        self.assertEqual(list(files)[0], "TOSCA-Metadata/TOSCA.meta")
        self.assertIn("Files/images/millrace.qcow2", files)

    def test_reproducible(self):
        again = self.files(self.build("again.csar"))
        first = self.files()
        self.assertEqual(list(again), list(first))
        for n in first:
            a, b = (x[n].split(validate.BEGIN)[0] for x in (first, again))
            self.assertEqual(a, b, n)

    def test_openssl(self):
        """The signature, by hand."""
        content, at, cms = self.files()[MANIFEST].partition(validate.BEGIN)
        for name, data in (("mf", content), ("cms", at + cms), ("cert", self.files()[CERT])):
            with open(self.path(name), "wb") as f:
                f.write(data)
        verify = ("openssl", "cms", "-verify", "-binary", "-inform", "PEM", "-in", self.path("cms"), "-content", self.path("mf"),
                  "-certfile", self.path("cert"), "-CAfile", self.path("ca.pem"), "-purpose", "any", "-out", os.devnull)
        r = run(*verify)
        self.assertEqual(r.returncode, 0, r.stderr)
        with open(self.path("mf"), "ab") as f:
            f.write(b"\n")
        self.assertNotEqual(run(*verify).returncode, 0)

    def test_image_by_reference(self):
        url = "https://images.example/millrace.qcow2"
        csar = self.build("url.csar", "--image-url", url)
        self.assertEqual(self.faults(csar), [])
        files = self.files(csar)
        self.assertNotIn("Files/images/millrace.qcow2", files)
        self.assertIn(f"Source: {url}\n".encode(), files[MANIFEST])
        self.assertIn(url.encode(), files[MAIN])

    def test_built(self):
        csar = os.environ.get("MILLRACE_CSAR", "")
        if not os.path.exists(csar):
            self.skipTest("no package is built")
        self.assertEqual(self.faults(csar, None), [])

    # By others.

    def puccini(self, csar):
        tool = os.environ.get("PUCCINI", "")
        if not tool:
            self.skipTest("PUCCINI is not set")
        return run(tool, "compile", "--resolve=false", "--coerce", "--colorize=false", "--map-url",
                   f"{ETSI}=file://{os.path.abspath(os.path.join(VNFD, 'sol001.yaml'))}", csar)

    def test_puccini(self):
        r = self.puccini(self.csar)
        self.assertEqual(r.returncode, 0, r.stderr)
        self.assertIn("millrace.nodes.Millrace", r.stdout)
        for old, new in ((b"num_virtual_cpu: 4", b"num_virtual_cpu: four"), (b"vnic_type: normal", b"vnic: normal"),
                         (b"- virtual_binding: appliance", b"- virtual_binding: applianc"), (b"layer_protocols: [ipv4, ipv6]", b"layer_protocols: 4")):
            def change(files, o=old, n=new):
                files[MAIN] = files[MAIN].replace(o, n)
            csar = self.sealed(change)
            self.assertNotEqual(self.puccini(csar).returncode, 0, new)
            self.assertNotEqual(self.faults(csar), [], new)

    # What is wrong with the files.

    def broken(self, words, change, more=(), ca="ca.pem"):
        files = self.files()
        change(files)
        found = self.faults(self.write(files, more), ca)
        self.assertTrue(any(re.search(words, f) for f in found), f"{words}: {found}")

    def test_files(self):
        def put(n, data):
            return lambda f: f.__setitem__(n, data)

        def edit(n, old, new):
            def change(f):
                self.assertIn(old, f[n])
                f[n] = f[n].replace(old, new, 1)
            return change
        image = "Files/images/millrace.qcow2"
        self.broken(r"ChangeLog.txt: its SHA-256 is", edit("ChangeLog.txt", b"#", b"%"))
        self.broken(r"millrace.qcow2: its SHA-256 is", lambda f: f.__setitem__(image, f[image][:-1] + bytes([f[image][-1] ^ 1])))
        self.broken(r"LICENSE: is in millrace.mf, but not in the package", lambda f: f.pop("Licenses/LICENSE"))
        self.broken(r"there is no Licenses", lambda f: f.pop("Licenses/LICENSE"))
        self.broken(r"extra: is in the package, but not in", put("extra", b"x"))
        self.broken(r"signature is wrong", edit(MANIFEST, b"SHA-256", b"SHA-512"))
        self.broken(r"signature is wrong", edit(MANIFEST, b"vnf_package_version: 0.5.0", b"vnf_package_version: 0.5.1"))
        self.broken(r"is not signed", lambda f: f.__setitem__(MANIFEST, f[MANIFEST].split(validate.BEGIN)[0]))
        self.broken(r"signature is wrong", edit(MANIFEST, b"MII", b"MIJ"))
        self.broken(r"has no vnf_provider_id", edit(MANIFEST, b"vnf_provider_id", b"vnf_provider"))
        self.broken(r"no time of RFC 3339", edit(MANIFEST, b"vnf_release_date_time: 2026", b"vnf_release_date_time: 26"))
        self.broken(r"entry with Algorithm, Source only", edit(MANIFEST, b"\nHash: ", b"\nHesh: "))
        self.broken(r"none of SHA-224", edit(MANIFEST, b"Algorithm: SHA-256", b"Algorithm: MD5"))
        self.broken(r"TOSCA.meta: is missing", lambda f: f.pop("TOSCA-Metadata/TOSCA.meta"))
        self.broken(r"ETSI-Entry-Change-Log is missing", edit("TOSCA-Metadata/TOSCA.meta", b"ETSI-Entry-Change-Log", b"ETSI-Entry-History"))
        self.broken(r"there is no other.mf", edit("TOSCA-Metadata/TOSCA.meta", b"millrace.mf", b"other.mf"))
        self.broken(r"leads out of the package", lambda f: None, [("../../etc/cron.d/x", b"x")])
        self.broken(r"leads out of the package", lambda f: None, [("/etc/x", b"x")])
        with self.assertWarns(UserWarning):
            self.broken(r"is there twice", lambda f: None, [("ChangeLog.txt", b"x")])

    def test_signer(self):
        # Another's signature, with his certificate put in place of ours; a signature by a certificate that is not the package's.
        strange = self.build("strange.csar", signer="stranger")
        self.assertTrue(any("signature is wrong" in f for f in self.faults(strange)))
        self.assertEqual(self.faults(strange, None), [])
        self.assertEqual(self.faults(strange, "stranger.pem"), [])
        files = self.files(strange)
        files[CERT] = self.files()[CERT]
        self.assertTrue(any("signature is wrong" in f for f in self.faults(self.write(files))))

    def test_no_zip(self):
        bad = self.path("bad.csar")
        shutil.copy(self.image, bad)
        self.assertEqual(run(sys.executable, os.path.join(VNFD, "validate.py"), bad).returncode, 1)

    # What is wrong with the descriptor.

    def test_descriptor(self):
        for name, old, new, words in (
                (MAIN, "type: tosca.nodes.nfv.VduCp", "type: tosca.nodes.nfv.VduCpd", "its type tosca.nodes.nfv.VduCpd is not known"),
                (MAIN, "num_virtual_cpu: 4", "num_virtual_cpu: 0", "not greater than 0"),
                (MAIN, "num_virtual_cpu: 4", "num_virtual_cpu: four", "no integer"),
                (MAIN, "num_virtual_cpu: 4", "num_virtual_cpus: 4", "num_virtual_cpu: is missing"),
                (MAIN, "virtual_mem_size: 4 GiB", "virtual_mem_size: 4 gigs", "no scalar-unit.size"),
                (MAIN, "vnic_type: normal", "vnic_type: fast", "none of"),
                (MAIN, "- virtual_binding: appliance", "- virtual_binding: mgmt", "has no tosca.capabilities.nfv.VirtualBindable"),
                (MAIN, "- virtual_binding: appliance", "- virtual_binding: other", "there is no node other"),
                (MAIN, "      virtual_link_lan: [lan, virtual_link]\n", "", "leads nowhere"),
                (MAIN, "virtual_link_wan: [wan,", "virtual_link_dmz: [wan,", "has no such requirement"),
                (MAIN, "{get_input: day0}", "{get_input: day1}", "there is no input day1"),
                (MAIN, "targets: [appliance]", "targets: [mgmt]", "mgmt is nothing for"),
                (MAIN, "max_scale_level: 7", "max_scale_level: 6", "has no level 7"),
                (MAIN, "max_scale_level: 7", "max_scale_level: 9", "scales from 1 to 10"),
                (MAIN, "pair: {number_of_instances: 2}", "pair: {number_of_instances: 3}", "by its scale levels 2"),
                (MAIN, "pair: {number_of_instances: 2}", "duo: {number_of_instances: 2}", "has levels"),
                (MAIN, "default_level: pair", "default_level: trio", "there is no level trio"),
                (MAIN, "aspect: appliances", "aspect: workers", "there is no aspect workers"),
                (MAIN, "instantiate: {}", "instanciate: {}", "no such operation"),
                (MAIN, "        hash: '", "        hash: 'f", "the checksum of"),
                (MAIN, "disk_format: qcow2", "disk_format: qcow3", "none of"),
                (MAIN, "millrace_types.yaml", "other_types.yaml", "which is not there"),
                (MAIN, "/v4.4.1/", "/branch/", "which is not known"),
                (MAIN, "tosca_simple_yaml_1_3", "tosca_2_0", "tosca_definitions_version"),
                (MAIN, "      flavour_id: default\n", "      flavour_id: other\n", "none of"),
                (TYPES, "derived_from: tosca.nodes.nfv.VNF", "derived_from: tosca.nodes.nfv.Vnf", "which is not known"),
                (TYPES, "default: connections", "default: mood", "none of"),
                (TYPES, "default: '0.5.0'", "default: '0.5.1'", "none of"),
                (TYPES, "        default: Millrace\n", "        default: Millrace\n        default: Other\n", "is there twice")):
            with self.subTest(new or old):
                def change(files, n=name, o=old, w=new):
                    text = files[n].decode()
                    self.assertIn(o, text)
                    files[n] = text.replace(o, w, 1).encode()
                found = self.faults(self.sealed(change))
                self.assertTrue(any(words in f for f in found), f"{words}: {found}")

    def test_image_of_another(self):
        def change(files):
            files["Files/images/millrace.qcow2"] += b"x"
        found = self.faults(self.sealed(change))
        self.assertTrue(any("the checksum of" in f for f in found) and any("bytes, not" in f for f in found), found)

    def test_identity(self):
        found = self.faults(self.sealed(lambda f: f.__setitem__(MANIFEST, f[MANIFEST].replace(b"vnf_package_version: 0.5.0", b"vnf_package_version: 0.6.0"))))
        self.assertTrue(any("the manifest's vnf_package_version 0.6.0" in f for f in found), found)

    # What build.py refuses.

    def test_refused(self):
        for words, more in (("is no qcow2", ("--image", self.path("ca.pem"))), ("not http", ("--image-url", "ftp://x/y")), ("--version", ("--version", "1 0")),
                            ("openssl", ("--key", self.path("stranger.key"))), ("No such file", ("--image", "/nowhere"))):
            with self.assertRaises(RuntimeError) as e:
                self.build("refused.csar", *more)
            self.assertIn(words, str(e.exception))
            self.assertFalse(os.path.exists(self.path("refused.csar")))

    def test_scalars(self):
        for text, want in (("2 GiB", 2 << 30), ("2GB", 2e9), ("0 B", 0), ("1.5 kB", 1500), ("2", None), ("GiB", None), ("-1 B", None)):
            self.assertEqual(descriptor.scalar("scalar-unit.size", text), want, text)


if __name__ == "__main__":
    unittest.main()
