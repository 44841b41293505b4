"""The board as an ASGI application: one page, its fragments, its pictures, its live stream, and what is sent to it."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from appliance.core.errors import Fault
from appliance.core.times import Now
from appliance.dashboard import desk
from appliance.dashboard.config import DashboardConfig
from appliance.dashboard.guard import COOKIE, TOKEN_HEADER, Guard, same_token, token_of
from appliance.dashboard.pages import Pages, is_page_id
from appliance.dashboard.pictures import Pictures
from appliance.dashboard.rendering import Renderer
from appliance.dashboard.stream import Hub, Listener
from appliance.records.alerts import events_after
from appliance.records.ledger import Ledger

HERE: Final = Path(__file__).parent
MOST_BODY: Final = 4096
MOST_MISSED: Final = 500
THEMES: Final = ("dark", "light")
LEDGER_FAULT: Final = "Not kept: the box cannot write its records. Call the stroke team."

T = TypeVar("T")
Body = dict[str, Any]


@dataclass(slots=True, kw_only=True)
class Board:
    """What the routes share. The ledger is read in one thread and written in another; the loop itself never waits."""

    ledger: Ledger
    config: DashboardConfig
    clock: Callable[[], Now]
    renderer: Renderer
    pictures: Pictures
    pages: Pages
    reader: ThreadPoolExecutor
    writer: ThreadPoolExecutor
    painter: ThreadPoolExecutor
    hub: Hub

    async def in_thread(self, pool: ThreadPoolExecutor, call: Callable[[], T]) -> T:
        """The call's result, waited for without stopping the loop."""
        return await asyncio.get_running_loop().run_in_executor(pool, call)

    def shut(self) -> None:
        """Lets the threads go. Calls under way end by themselves."""
        for pool in (self.reader, self.writer, self.painter):
            pool.shutdown(wait=False, cancel_futures=True)


def make_board(
    ledger: Ledger,
    store_root: Path,
    config: DashboardConfig,
    clock: Callable[[], Now],
    silent: Callable[[Now], dict[str, float]] = lambda _now: {},
) -> Board:
    """The parts of the board. `silent`: of each program that has fallen silent, for how many seconds."""
    renderer = Renderer(ledger, config, silent)
    reader = ThreadPoolExecutor(1, thread_name_prefix="reader")

    async def in_reader(call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(reader, call)

    def missed_words(after: int) -> str:
        with ledger.reading() as r:
            return desk.missed_since(events_after(r, after, MOST_MISSED))

    def wall() -> tuple[str, str]:
        at = renderer.calendar.at(clock().wall_ns)
        return at.strftime("%H:%M:%S"), at.isoformat(timespec="seconds")

    hub = Hub(
        version=lambda: in_reader(ledger.data_version),
        render=lambda: in_reader(lambda: renderer.snapshot(clock())),
        missed=lambda after: in_reader(lambda: missed_words(after)),
        monotonic_s=lambda: clock().monotonic_s,
        wall=wall,
    )
    return Board(
        ledger=ledger,
        config=config,
        clock=clock,
        renderer=renderer,
        pictures=Pictures(ledger, store_root),
        pages=Pages(),
        reader=reader,
        writer=ThreadPoolExecutor(1, thread_name_prefix="writer"),
        painter=ThreadPoolExecutor(2, thread_name_prefix="painter"),
        hub=hub,
    )


def make_app(board: Board) -> Starlette:
    """The application. Whoever serves it runs `board.hub` beside it, and closes it before the server stops."""

    def posted(act: Callable[[Board, Body], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            return await _posted(board, request, act)

        return endpoint

    async def page(request: Request) -> Response:
        return await _page(board, request)

    async def fragments(_request: Request) -> Response:
        snapshot = await board.in_thread(board.reader, lambda: board.renderer.snapshot(board.clock()))
        return JSONResponse({"parts": snapshot.parts, "ages": snapshot.ages, "event": snapshot.last_event_id})

    async def fragment(request: Request) -> Response:
        snapshot = await board.in_thread(board.reader, lambda: board.renderer.snapshot(board.clock()))
        markup = snapshot.parts.get(request.path_params["place"])
        return PlainTextResponse("not found", status_code=404) if markup is None else HTMLResponse(markup)

    async def stream(request: Request) -> Response:
        return _stream(board, request)

    async def picture(request: Request) -> Response:
        return await _picture(board, request)

    routes = [
        Route("/", page),
        Route("/fragments/board", fragments),
        Route("/fragments/{place:str}", fragment),
        Route("/stream", stream),
        Route("/picture/{slice_id:int}.png", picture),
        Route("/acknowledge", posted(_acknowledge), methods=["POST"]),
        Route("/seen", posted(_seen), methods=["POST"]),
        Route("/told", posted(_told), methods=["POST"]),
        Route("/here", posted(_here), methods=["POST"]),
        Mount("/static", StaticFiles(directory=HERE / "static")),
    ]
    return Starlette(routes=routes, middleware=[Middleware(Guard, hosts=board.config.hosts)])


async def _page(board: Board, request: Request) -> Response:
    token = token_of(request.cookies.get(COOKIE))
    theme = request.cookies.get("bleedwatch-theme", THEMES[0])
    try:
        markup = await board.in_thread(
            board.reader,
            lambda: board.renderer.page(board.clock(), token=token, theme=theme if theme in THEMES else THEMES[0]),
        )
    except Fault:
        words = "The box cannot read its records. Look at every head CT yourself. Call the administrator now."
        return PlainTextResponse(words, status_code=503)
    response = HTMLResponse(markup)
    response.set_cookie(COOKIE, token, httponly=True, samesite="strict", path="/")
    return response


def _stream(board: Board, request: Request) -> Response:
    page_id = request.query_params.get("page", "")
    browser = request.cookies.get(COOKIE, "")
    if not is_page_id(page_id) or not browser:
        return PlainTextResponse("not a page of this box", status_code=403)
    after = request.headers.get("last-event-id") or request.query_params.get("after", "0")
    listener = Listener(page_id, browser, int(after) if after.isdecimal() and len(after) < 19 else 0)

    async def messages() -> AsyncIterator[str]:
        board.pages.connected(page_id)
        try:
            async for message in board.hub.listen(listener):
                yield message
        finally:
            board.pages.disconnected(page_id)

    headers = {"X-Accel-Buffering": "no"}
    return StreamingResponse(messages(), media_type="text/event-stream", headers=headers)


async def _picture(board: Board, request: Request) -> Response:
    slice_id = request.path_params["slice_id"]
    try:
        png = await board.in_thread(board.painter, lambda: board.pictures.png(slice_id))
    except Fault:
        png = None
    if png is None:
        return PlainTextResponse(
            "The pictures of this slice are gone. The reading and the record stay.", status_code=404
        )
    return Response(png, media_type="image/png")


async def _posted(board: Board, request: Request, act: Callable[[Board, Body], Awaitable[Response]]) -> Response:
    """Checks the token and the size before anything is looked at. The page's own words are shown by it, not here."""
    if not same_token(request.cookies.get(COOKIE), request.headers.get(TOKEN_HEADER)):
        return _said(403, "This page is not one of this box. Load it again.")
    raw = b""
    async for chunk in request.stream():
        raw += chunk
        if len(raw) > MOST_BODY:
            return _said(413, "Too much was sent.")
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError):
        return _said(400, "What was sent cannot be read.")
    if not isinstance(body, dict) or not is_page_id(body.get("page")):
        return _said(400, "What was sent cannot be read.")
    try:
        return await act(board, body)
    except Fault:
        return _said(503, LEDGER_FAULT)


async def _acknowledge(board: Board, body: Body) -> Response:
    alert_id, shown = _number(body.get("alert")), _number(body.get("event"))
    by = desk.person_name(body.get("by"))
    return await _written(
        board,
        lambda now_ns: desk.acknowledge(
            board.ledger, alert_id=alert_id, shown_event=shown, by=by, page=body["page"], now_ns=now_ns
        ),
    )


async def _seen(board: Board, body: Body) -> Response:
    study_id = _number(body.get("study"))
    by = desk.person_name(body.get("by"))
    return await _written(board, lambda now_ns: desk.see(board.ledger, study_id=study_id, by=by, now_ns=now_ns))


async def _told(board: Board, body: Body) -> Response:
    if not board.pages.is_connected(body["page"]):
        return _said(409, "Only a page with a live stream can say what it shows.")
    alert_id, event_id = _number(body.get("alert")), _number(body.get("event"))
    sounded = body.get("sounded") is True
    return await _written(
        board,
        lambda now_ns: desk.told(
            board.ledger, alert_id=alert_id, event_id=event_id, page=body["page"], sounded=sounded, now_ns=now_ns
        ),
    )


async def _here(board: Board, body: Body) -> Response:
    board.pages.word(body["page"], armed=body.get("armed") is True, monotonic_s=board.clock().monotonic_s)
    return _said(200, "heard")


async def _written(board: Board, act: Callable[[int], desk.Answer]) -> Response:
    answer = await board.in_thread(board.writer, lambda: act(board.clock().wall_ns))
    return _said(answer.status, answer.message)


def _number(value: object) -> int:
    """An id as sent; 0, which is nobody's, for anything else."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**63 else 0


def _said(status: int, message: str) -> JSONResponse:
    return JSONResponse({"message": message}, status_code=status)
