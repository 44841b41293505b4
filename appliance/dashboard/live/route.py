"""The route of the live stream, one for every open page."""

from collections.abc import AsyncIterator

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from appliance.dashboard.console import Console
from appliance.dashboard.guard import COOKIE
from appliance.dashboard.live.pages import is_page_id, place_of, screen_of
from appliance.dashboard.live.stream import Listener
from appliance.dashboard.rendering import WALL


def routes(console: Console) -> list[Route]:
    """Server-sent events."""

    async def stream(request: Request) -> Response:
        return _stream(console, request)

    return [Route("/stream", stream)]


def _stream(console: Console, request: Request) -> Response:
    page_id = request.query_params.get("page", "")
    browser = request.cookies.get(COOKIE, "")
    if not is_page_id(page_id) or not browser:
        return PlainTextResponse("not a page of this box", status_code=403)
    after = request.headers.get("last-event-id") or request.query_params.get("after", "0")
    place = place_of(request.query_params.get("place", ""))
    seen = int(after) if after.isascii() and after.isdecimal() and len(after) < 19 else 0
    listener = Listener(page_id, browser, seen, wall=place == WALL)

    async def messages() -> AsyncIterator[str]:
        console.pages.connected(page_id, place=place, screen=screen_of(browser))
        try:
            async for message in console.hub.listen(listener):
                yield message
        finally:
            console.pages.disconnected(page_id)

    headers = {"X-Accel-Buffering": "no"}
    return StreamingResponse(messages(), media_type="text/event-stream", headers=headers)
