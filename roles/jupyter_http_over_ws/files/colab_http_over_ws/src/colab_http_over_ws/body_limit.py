# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read no more than a login form of a request that does not prove the token.

tornado collects a request's body, up to Jupyter's 512 MB, before a handler sees the request and refuses it.
"""

from __future__ import annotations

from typing import Any

from tornado import httputil, web

from . import door

STRANGERS_BYTES = 64 * 1024


def install(server_app: Any) -> None:
    """Limit the bodies on a Jupyter server, unless anybody may use it or it knows its users in a way of its own."""
    from jupyter_server.auth.identity import IdentityProvider

    application, provider = server_app.web_app, server_app.identity_provider
    ways = ("get_user", "get_user_token", "get_user_cookie")
    if not provider.auth_enabled or any(
        getattr(type(provider), one) is not getattr(IdentityProvider, one) for one in ways
    ):
        return
    find_handler = application.find_handler

    def find_with_limit(request: httputil.HTTPServerRequest, **more: Any) -> Any:
        announced = any(name in request.headers for name in ("Content-Length", "Transfer-Encoding"))
        if announced and not proves_token(web.RequestHandler(application, request), provider):
            connection: Any = request.connection  # HTTP1Connection's, not of its interface
            connection.set_max_body_size(STRANGERS_BYTES)
        return find_handler(request, **more)

    application.find_handler = find_with_limit


def proves_token(handler: web.RequestHandler, provider: Any) -> bool:
    """Whether the request has the token or the cookie of a login, by the identity provider's own functions."""
    try:
        return door.same(provider.get_token(handler) or "", provider.token) or bool(provider.get_user_cookie(handler))
    except web.HTTPError:  # an address that is no UTF-8
        return False
