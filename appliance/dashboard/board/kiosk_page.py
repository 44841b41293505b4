"""The wall screen: the board without menu and buttons, in bigger words, and without names unless the site allows them."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from appliance.dashboard.console import Console
from appliance.dashboard.rendering import WALL


def routes(console: Console) -> list[Route]:
    """One page. Its live stream gives it nothing that it may not show."""

    async def page(request: Request) -> Response:
        return await console.page(request, "kiosk.html", here=WALL)

    return [Route("/kiosk", page)]
