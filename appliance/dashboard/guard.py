"""What stands before every page: which hosts are answered, who may post, and what a browser may do with the answer."""

import re
import secrets
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

COOKIE: Final = "bleedwatch-token"
TOKEN_HEADER: Final = "x-bleedwatch-token"
_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{43}")

_HEADERS: Final = {
    "content-security-policy": (
        "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; object-src 'none'; "
        "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}


class Guard:
    """ASGI middleware. A page elsewhere whose name was bent to this box carries another Host, or another Origin."""

    def __init__(self, app: ASGIApp, hosts: frozenset[str]) -> None:
        self._app = app
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers[name] = value
            await send(message)

        refusal = self._refusal(scope)
        if refusal is not None:
            await refusal(scope, receive, send_with_headers)
            return
        await self._app(scope, receive, send_with_headers)

    def _refusal(self, scope: Scope) -> PlainTextResponse | None:
        headers = Headers(scope=scope)
        if headers.get("host", "").lower() not in self._hosts:
            return PlainTextResponse("This box does not answer under that name.", status_code=400)
        if scope["method"] in ("GET", "HEAD"):
            return None
        origin = headers.get("origin", "")
        if origin.removeprefix("http://").lower() not in self._hosts:
            return PlainTextResponse("Only a page of this box may send that.", status_code=403)
        return None


def token_of(cookie: str | None) -> str:
    """The token of this browser: the one in its cookie, else a new one. It outlives a restart of the server."""
    return cookie if cookie and _TOKEN.fullmatch(cookie) else secrets.token_urlsafe(32)


def same_token(cookie: str | None, header: str | None) -> bool:
    """Whether the page that sends is one that this box wrote for this browser."""
    if not cookie or not header or not _TOKEN.fullmatch(cookie):
        return False
    return secrets.compare_digest(cookie, header)
