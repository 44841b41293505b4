"""The routes of the pictures.

Answers are `no-store`, as everything of this box: a console is shared, and its browser must not leave patients on the
disk. The page that needs them again keeps them in its own memory, which ends with it.
"""

from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from appliance.core.errors import Fault
from appliance.dashboard.addresses import row_id
from appliance.dashboard.console import Console

GONE = "The pictures of this slice were removed. The reading and the record stay."


def routes(console: Console) -> list[Route]:
    """A key slice with its marks in one PNG, and any slice in layers: a window each, and the heat map."""

    async def picture(request: Request) -> Response:
        slice_id = row_id(request.path_params["slice_id"])
        return await _png(console, lambda: console.pictures.png(slice_id))

    async def layer(request: Request) -> Response:
        slice_id, name = row_id(request.path_params["slice_id"]), request.path_params["name"]
        return await _png(console, lambda: console.pictures.layer(slice_id, name))

    return [Route("/picture/{slice_id}.png", picture), Route("/picture/{slice_id}/{name}.png", layer)]


async def _png(console: Console, draw: Callable[[], bytes | None]) -> Response:
    try:
        png = await console.in_thread(console.painter, draw)
    except Fault:
        png = None
    return PlainTextResponse(GONE, status_code=404) if png is None else Response(png, media_type="image/png")
