"""What people and pages send: token, size and shape are checked before anything of it is looked at."""

import json
from collections.abc import Awaitable, Callable
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from appliance.core.errors import Fault
from appliance.dashboard import desk
from appliance.dashboard.console import Console
from appliance.dashboard.guard import COOKIE, TOKEN_HEADER, same_token
from appliance.dashboard.live.pages import is_page_id

MOST_BODY: Final = 4096
LEDGER_FAULT: Final = "Not kept: the box cannot write its records. Call the stroke team."

Body = dict[str, Any]
Act = Callable[[Console, Body], Awaitable[Response]]


def posted(console: Console, path: str, act: Act) -> Route:
    """A route that takes a JSON object by POST from a page of this box."""

    async def endpoint(request: Request) -> Response:
        return await _checked(console, request, act)

    return Route(path, endpoint, methods=["POST"])


async def written(console: Console, act: Callable[[int], desk.Answer]) -> Response:
    """What came of a press that is written into the ledger. `act` is given the wall time in ns."""
    answer = await console.in_thread(console.writer, lambda: act(console.clock().wall_ns))
    return said(answer.status, answer.message)


def number(value: object) -> int:
    """An id as sent; 0, which is nobody's, for anything else."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**63 else 0


def said(status: int, message: str) -> JSONResponse:
    """An answer in a sentence, which the page shows."""
    return JSONResponse({"message": message}, status_code=status)


async def _checked(console: Console, request: Request, act: Act) -> Response:
    if not same_token(request.cookies.get(COOKIE), request.headers.get(TOKEN_HEADER)):
        return said(403, "This page is not one of this box. Load it again.")
    raw = b""
    async for chunk in request.stream():
        raw += chunk
        if len(raw) > MOST_BODY:
            return said(413, "Too much was sent.")
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError):
        return said(400, "What was sent cannot be read.")
    if not isinstance(body, dict) or not is_page_id(body.get("page")):
        return said(400, "What was sent cannot be read.")
    try:
        return await act(console, body)
    except Fault:
        return said(503, LEDGER_FAULT)
