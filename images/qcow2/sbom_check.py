#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks an SBOM: that it is CycloneDX 1.5 by the schemas of CycloneDX, that its references hold, and that it names what the image holds, no more and no less.

sbom_check.py SBOM --schemas FOLDER --packages LIST
"""

import argparse
import json
import os
import sys

import jsonschema


def without_additional_items(schema):
    """schema with "maxItems" for "additionalItems": false, which is the same; Debian 12's python3-jsonschema fails at telling an error of the latter."""
    if isinstance(schema, list):
        return [without_additional_items(entry) for entry in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: without_additional_items(value) for key, value in schema.items()}
    if made.get("additionalItems") is False and isinstance(made.get("items"), list):
        del made["additionalItems"]
        made["maxItems"] = min(made.get("maxItems", len(made["items"])), len(made["items"]))
    return made


def schema_errors(document, folder):
    """What the schemas in folder, as the npm package @cyclonedx/cyclonedx-library has them, find wrong with document."""
    def load(name):
        with open(os.path.join(folder, name + ".SNAPSHOT.schema.json"), encoding="utf-8") as file:
            return without_additional_items(json.load(file))
    main, spdx, jsf = load("bom-1.5"), load("spdx"), load("jsf-0.82")
    # They refer to each other by the names of their files.
    store = {"http://cyclonedx.org/schema/spdx.SNAPSHOT.schema.json": spdx, "http://cyclonedx.org/schema/jsf-0.82.SNAPSHOT.schema.json": jsf}
    resolver = jsonschema.RefResolver.from_schema(main, store=store)
    validator = jsonschema.Draft7Validator(main, resolver=resolver, format_checker=jsonschema.FormatChecker())
    for error in validator.iter_errors(document):
        yield f"{'/'.join(map(str, error.absolute_path))}: {error.message[:300]}"


def reference_errors(document):
    """Names that stand twice or for nothing."""
    main = document["metadata"]["component"]["bom-ref"]
    seen = {main}
    for component in document["components"]:
        ref = component["bom-ref"]
        if ref in seen:
            yield f"{ref}: twice"
        seen.add(ref)
    reached, todo = set(), [main]
    edges = {entry["ref"]: entry.get("dependsOn", []) for entry in document["dependencies"]}
    for ref, targets in edges.items():
        for target in [ref, *targets]:
            if target not in seen:
                yield f"dependencies of {ref}: no component {target}"
    while todo:
        ref = todo.pop()
        if ref not in reached:
            reached.add(ref)
            todo.extend(edges.get(ref, []))
    for ref in sorted(seen - reached):
        yield f"{ref}: nothing in the image depends on it"


def content_errors(document, packages):
    """Differences to the list of the image's packages, and what of ours must be there."""
    with open(packages, encoding="utf-8") as file:
        wanted = dict(line.split() for line in file)
    found = {c["name"]: c["version"] for c in document["components"] if c["bom-ref"].startswith("deb/")}
    for name in sorted(wanted.keys() | found.keys()):
        if wanted.get(name) != found.get(name):
            yield f"{name}: {found.get(name)} in the SBOM, {wanted.get(name)} in the list of packages"
    refs = {c["bom-ref"].split("@")[0] for c in document["components"]}
    for ref in ("deb/millrace-vnf", "deb/millrace-dataplane", "deb/librte-eal23", "go/github.com/osrg/gobgp/v3", "go/google.golang.org/grpc", "go/stdlib",
                "image/igb_uio", "image/grub"):
        if ref not in refs:
            yield f"{ref} is missing"
    bare = [c["bom-ref"] for c in document["components"] if not c.get("licenses")]
    if len(bare) * 20 > len(document["components"]):
        yield f"{len(bare)} components have no licence, more than 5 %: {' '.join(bare[:10])}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sbom")
    parser.add_argument("--schemas", required=True, help="folder with CycloneDX's schemas")
    parser.add_argument("--packages", required=True, help="the image's list of packages")
    args = parser.parse_args()
    with open(args.sbom, encoding="utf-8") as file:
        document = json.load(file)
    wrong = [*schema_errors(document, args.schemas), *reference_errors(document), *content_errors(document, args.packages)]
    for line in wrong:
        print(f"{args.sbom}: {line}", file=sys.stderr)
    if wrong:
        sys.exit(1)
    print(f"{args.sbom}: {len(document['components'])} components, valid")


if __name__ == "__main__":
    main()
