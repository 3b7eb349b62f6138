# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Answer `/api/colab/build-info` as Google's own image does, for who wants to be taken for it.

Google's image (googlecolab/colabtools, google/colab/_serverextension) tells who knows the token its release tag, as JSON
behind a line that keeps it from being run as a script. Without a tag in the configuration nothing is registered, and the
page gets an honest 404.
"""

from __future__ import annotations

import json
from typing import Any

PATH = "/api/colab/build-info"
GUARD = ")]}'\n"


def tag(config: Any) -> str:
    """The release tag to tell, from `{"ColabHttpOverWs": {"build_info": TAG}}` in the server's configuration."""
    return str(config.get("ColabHttpOverWs", {}).get("build_info", ""))


def add(server_app: Any) -> None:
    release_tag = tag(server_app.config)
    if not release_tag:
        return
    from jupyter_server.base.handlers import APIHandler
    from jupyter_server.utils import url_path_join
    from tornado import web

    class BuildInfo(APIHandler):
        @web.authenticated
        def get(self) -> None:
            self.finish(GUARD + json.dumps({"release_tag": release_tag}))

    app = server_app.web_app
    app.add_handlers(".*$", [(url_path_join(app.settings["base_url"], PATH), BuildInfo)])
