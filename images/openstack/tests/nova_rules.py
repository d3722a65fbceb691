#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What Nova's own code says to extra specs, image properties and requests for servers.

A process of its own, since Nova's and Heat's options do not live in one: a question is a line of JSON, an answer one with a list of
problems.
"""

import json
import sys
import warnings

warnings.simplefilter("ignore")

from nova.api import validation  # noqa: E402
from nova.api.openstack.compute.schemas import servers  # noqa: E402
from nova.api.validation.extra_specs import validators  # noqa: E402
from nova.objects import image_meta  # noqa: E402


def problems(asked):
    for name, value in asked.get("extra_specs", {}).items():
        try:
            validators.validate(name, value)
        except Exception as e:  # Nova has many
            yield f"extra spec {name}={value}: {e}"
    for name, value in asked.get("image", {}).items():
        if not name.startswith(("hw_", "img_")) and name not in image_meta.ImageMetaProps.fields:
            continue
        if name not in image_meta.ImageMetaProps.fields:
            yield f"image property {name}: Nova has no such"
            continue
        try:
            image_meta.ImageMetaProps.from_dict({name: value})
        except Exception as e:
            yield f"image property {name}={value}: {e}"
    if "server" in asked:
        try:
            validation.validators._SchemaValidator(servers.create_v267).validate({"server": asked["server"]})
        except Exception as e:
            yield f"server: {e}"


for line in sys.stdin:
    print(json.dumps(list(problems(json.loads(line)))), flush=True)
