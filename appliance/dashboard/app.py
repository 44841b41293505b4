"""The console as an ASGI application: its pages, their pictures, the live stream, and what is sent to it."""

from pathlib import Path
from typing import Final

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from appliance.dashboard import answers
from appliance.dashboard.alerts import page as alerts_page
from appliance.dashboard.board import kiosk_page
from appliance.dashboard.board import page as board_page
from appliance.dashboard.console import Console
from appliance.dashboard.guard import Guard
from appliance.dashboard.live import route as live_stream
from appliance.dashboard.study import page as study_page
from appliance.dashboard.study import picture_page
from appliance.dashboard.system import page as system_page

HERE: Final = Path(__file__).parent
ROOMS: Final = (board_page, kiosk_page, alerts_page, picture_page, study_page, system_page, live_stream, answers)
"""Each has `routes(console)`."""


def make_app(console: Console) -> Starlette:
    """The application. Whoever serves it runs `console.hub` beside it, and closes it before the server stops."""
    routes = [route for room in ROOMS for route in room.routes(console)]
    static = Mount("/static", StaticFiles(directory=HERE / "static"))
    return Starlette(routes=[*routes, static], middleware=[Middleware(Guard, hosts=console.config.hosts)])
