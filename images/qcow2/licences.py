# SPDX-License-Identifier: Apache-2.0
"""Which licences a Debian package or a Go module has, as CycloneDX says them: an identifier of SPDX where we are sure, else Debian's own name of it."""

import os
import re
import subprocess

# Short names of Debian's machine-readable copyright files (DEP-5) that mean exactly one identifier of SPDX, in lower case.
SPDX = {
    "afl-2.0": "AFL-2.0", "afl-2.1": "AFL-2.1", "cpl-1.0": "CPL-1.0", "fsfap": "FSFAP", "fsfullr": "FSFULLR", "ms-pl": "MS-PL", "sleepycat": "Sleepycat",
    "bzip2-1.0.6": "bzip2-1.0.6", "unicode-dfs-2016": "Unicode-DFS-2016", "latex2e": "Latex2e", "lgpl-3.0": "LGPL-3.0-only", "lgpl-3.0+": "LGPL-3.0-or-later",
    "gfdl-niv-1.3": "GFDL-1.3-no-invariants-only", "gfdl-niv-1.3+": "GFDL-1.3-no-invariants-or-later", "bsd-2-clause-netbsd": "BSD-2-Clause",
    "apache-2.0": "Apache-2.0", "artistic": "Artistic-1.0-Perl", "artistic-1.0": "Artistic-1.0", "artistic-2": "Artistic-2.0", "artistic-2.0": "Artistic-2.0",
    "beerware": "Beerware", "bsd-1-clause": "BSD-1-Clause", "bsd-2-clause": "BSD-2-Clause", "bsd-3-clause": "BSD-3-Clause", "bsd-4-clause": "BSD-4-Clause",
    "bsd-2": "BSD-2-Clause", "bsd-3": "BSD-3-Clause", "bsd-4-clause-uc": "BSD-4-Clause-UC", "bsl-1.0": "BSL-1.0", "cc0": "CC0-1.0", "cc0-1.0": "CC0-1.0",
    "cc-by-3.0": "CC-BY-3.0", "cc-by-4.0": "CC-BY-4.0", "cc-by-sa-3.0": "CC-BY-SA-3.0", "cc-by-sa-4.0": "CC-BY-SA-4.0", "curl": "curl",
    "expat": "MIT", "mit": "MIT", "isc": "ISC", "mpl-1.1": "MPL-1.1", "mpl-2.0": "MPL-2.0", "openldap-2.8": "OLDAP-2.8", "openssl": "OpenSSL",
    "psf-2": "PSF-2.0", "psf-2.0": "PSF-2.0", "python-2.0": "Python-2.0", "unlicense": "Unlicense", "vim": "Vim", "x11": "X11", "zlib": "Zlib", "zpl-2.1": "ZPL-2.1",
    "agpl-3": "AGPL-3.0-only", "agpl-3+": "AGPL-3.0-or-later", "lgpl-2": "LGPL-2.0-only", "lgpl-2+": "LGPL-2.0-or-later", "lgpl-2.0": "LGPL-2.0-only",
    "lgpl-2.0+": "LGPL-2.0-or-later", "lgpl-2.1": "LGPL-2.1-only", "lgpl-2.1+": "LGPL-2.1-or-later", "lgpl-3": "LGPL-3.0-only", "lgpl-3+": "LGPL-3.0-or-later",
    "gfdl-1.2": "GFDL-1.2-only", "gfdl-1.2+": "GFDL-1.2-or-later", "gfdl-1.3": "GFDL-1.3-only", "gfdl-1.3+": "GFDL-1.3-or-later",
    "gpl-1": "GPL-1.0-only", "gpl-1+": "GPL-1.0-or-later", "gpl-2": "GPL-2.0-only", "gpl-2.0": "GPL-2.0-only", "gpl-2+": "GPL-2.0-or-later",
    "gpl-2.0+": "GPL-2.0-or-later", "gpl-3": "GPL-3.0-only", "gpl-3.0": "GPL-3.0-only", "gpl-3+": "GPL-3.0-or-later", "gpl-3.0+": "GPL-3.0-or-later",
}

# Files of older packages name no licences but point to the texts that each Debian has.
COMMON = re.compile(r"/usr/share/common-licenses/([A-Za-z0-9.-]*[A-Za-z0-9])")


def one(name):
    identifier = SPDX.get(name.lower())
    return {"license": {"id": identifier}} if identifier else {"license": {"name": name}}


def of_debian(path):
    """The licences that the copyright file at path names, as a list for CycloneDX; empty if there is no file or nothing is to be had from it."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            text = file.read()
    except OSError:
        return []
    names = set()
    if re.match(r"\s*Format(-Specification)?:", text, re.IGNORECASE):
        for line in re.findall(r"^License:[ \t]*(\S.*)$", text, re.MULTILINE):
            for name in re.split(r"\s+(?:and/or|and|or)\s+|\s*[,/]\s*(?:and\s+|or\s+)?", re.sub(r"[()]", "", line.strip())):
                name = re.sub(r"\s+with\s+.*", "", name).strip()
                if name:
                    names.add(name)
    else:
        names.update(f"{name} (named in Debian's copyright file)" for name in COMMON.findall(text))
    found = {str(one(name)): one(name) for name in names}
    return [found[key] for key in sorted(found)]


# What only the text of one licence says, most particular first.
TEXTS = (
    (r"Apache License\s+Version 2\.0", "Apache-2.0"),
    (r"Mozilla Public License,? [Vv](ersion )?2\.0", "MPL-2.0"),
    (r"Permission to use, copy, modify, and/?(or)? distribute this software for any purpose", "ISC"),
    (r"Permission is hereby granted, free of charge", "MIT"),
    (r"Redistribution and use in source and binary forms[\s\S]*Neither the name", "BSD-3-Clause"),
    (r"Redistribution and use in source and binary forms", "BSD-2-Clause"),
)


def of_go_module(path, version):
    """The licence of a Go module from the text in its folder of the module cache; empty if it isn't there or not one of the usual."""
    cache = subprocess.run(["go", "env", "GOMODCACHE"], check=True, capture_output=True, text=True).stdout.strip()
    folder = os.path.join(cache, re.sub("[A-Z]", lambda m: "!" + m[0].lower(), f"{path}@{version}"))
    if not os.path.isdir(folder):
        return []
    found = set()
    for name in sorted(os.listdir(folder)):
        if not re.match(r"(licen[cs]e|copying)(\.|-|$)", name, re.IGNORECASE) or not os.path.isfile(os.path.join(folder, name)):
            continue
        with open(os.path.join(folder, name), encoding="utf-8", errors="replace") as file:
            text = file.read()
        for pattern, identifier in TEXTS:
            if re.search(pattern, text):
                found.add(identifier)
                break
    return [{"license": {"id": identifier}} for identifier in sorted(found)]
