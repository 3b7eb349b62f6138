# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Jupyter Server extension: `/http_over_websocket` for Google Colab, on today's Jupyter.

Google's jupyter_http_over_ws is made to load (see `compat`) and its sockets are shut to who does not prove the token (see
`guard`). Importing this package has no effect, so that a server which merely lists its extensions stays as it is.
"""

from __future__ import annotations

from typing import Any

from . import browser_seen, build_info, compat, hide_secrets

__all__ = ["load_jupyter_server_extension"]
__version__ = "0.2.0"

REMEDY = (
    "install it into this server's Python without its dependencies, which would replace your Jupyter: "
    "pip install --no-deps jupyter_http_over_ws six"
)


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "colab_http_over_ws"}]


def _load_jupyter_server_extension(server_app: Any) -> None:
    """Register the addresses of jupyter_http_over_ws on a running server.

    The server catches what is raised here, writes it to its log and starts without the extension. The line before it
    says it in one sentence, at a level that no default log setting hides.
    """
    hide_secrets.install(server_app.log)
    browser_seen.watch(server_app)
    build_info.add(server_app)
    try:
        package = compat.import_jupyter_http_over_ws()
    except Exception as error:
        server_app.log.error(
            "colab_http_over_ws: /http_over_websocket stays off, jupyter_http_over_ws could not be imported (%s); %s",
            error,
            REMEDY,
        )
        raise
    # Not at the top: tornado is there where Jupyter is, and importing this package is to need neither.
    from . import body_limit, guard, own_requests

    body_limit.install(server_app)
    own_requests.install(server_app)
    guard.install(package.handlers)
    package.load_jupyter_server_extension(server_app)


# The name that notebook 6 calls; Jupyter Server takes the one with the underscore.
load_jupyter_server_extension = _load_jupyter_server_extension
