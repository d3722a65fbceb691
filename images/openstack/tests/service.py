#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Runs Keystone or Glance in the foreground on loopback: service.py keystone|glance FOLDER, which has the configuration."""

import os
import sys
import warnings

warnings.simplefilter("ignore")
which, folder = sys.argv[1:]
sys.argv = [which]

if which == "keystone":
    import eventlet
    eventlet.monkey_patch()
    import eventlet.wsgi
    from keystone.server import wsgi
    os.environ["OS_KEYSTONE_CONFIG_DIR"] = folder
    app = wsgi.initialize_public_application()
    eventlet.wsgi.server(eventlet.listen(("127.0.0.1", 5000)), app, log_output=False)
else:
    sys.argv += ["--config-file", os.path.join(folder, "glance-api.conf")]
    from glance.cmd import api
    api.main()
