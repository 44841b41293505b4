"""The board: what the technologist lives with."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from appliance.dashboard.console import Console


def routes(console: Console) -> list[Route]:
    """The first page of the box."""

    async def page(request: Request) -> Response:
        return await console.page(request, "board.html", here="board")

    return [Route("/", page)]
