"""The console as an ASGI application: its pages, their pictures, the live stream, and what is sent to it."""

from pathlib import Path
from typing import Final

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from appliance.dashboard import (
    alerts_page,
    answers,
    board_page,
    kiosk_page,
    live_stream,
    picture_page,
    study_page,
    system_page,
)
from appliance.dashboard.console import Console
from appliance.dashboard.guard import Guard

HERE: Final = Path(__file__).parent
ROOMS: Final = (board_page, kiosk_page, alerts_page, picture_page, study_page, system_page, live_stream, answers)
"""Each has `routes(console)`."""


def make_app(console: Console) -> Starlette:
    """The application. Whoever serves it runs `console.hub` beside it, and closes it before the server stops."""
    routes = [route for room in ROOMS for route in room.routes(console)]
    static = Mount("/static", StaticFiles(directory=HERE / "static"))
    return Starlette(routes=[*routes, static], middleware=[Middleware(Guard, hosts=console.config.hosts)])
