"""The route of the pictures."""

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from appliance.core.errors import Fault
from appliance.dashboard.console import Console


def routes(console: Console) -> list[Route]:
    """One PNG a slice."""

    async def picture(request: Request) -> Response:
        return await _picture(console, request)

    return [Route("/picture/{slice_id:int}.png", picture)]


async def _picture(console: Console, request: Request) -> Response:
    slice_id = request.path_params["slice_id"]
    try:
        png = await console.in_thread(console.painter, lambda: console.pictures.png(slice_id))
    except Fault:
        png = None
    if png is None:
        return PlainTextResponse(
            "The pictures of this slice are gone. The reading and the record stay.", status_code=404
        )
    return Response(png, media_type="image/png")
