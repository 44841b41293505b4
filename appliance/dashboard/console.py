"""The console: what the routes of every page share, and how a page and its parts are written.

A page hands over what it reads and the names of its templates. Header, bands, alarm bar, sound and live stream stand in
`templates/base.html` and `static/console.js`, so an open CRITICAL shows and sounds on whichever page is open.
"""

import asyncio
import shutil
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response

from appliance.core.errors import Fault
from appliance.core.status import LEDGER_FACT, LEDGER_SINCE_FACT, ProgramStatus
from appliance.core.times import Now
from appliance.dashboard import desk
from appliance.dashboard.board.first_run import BoxFacts
from appliance.dashboard.board.unrecorded import Unkept
from appliance.dashboard.config import DashboardConfig
from appliance.dashboard.guard import COOKIE, token_of
from appliance.dashboard.live.pages import Pages, screen_of
from appliance.dashboard.live.stream import Hub
from appliance.dashboard.rendering import Read, Renderer
from appliance.dashboard.study.pictures import Pictures
from appliance.records.alerts import events_after, has_news_after
from appliance.records.ledger import Ledger

MOST_MISSED: Final = 500
THEMES: Final = ("dark", "light")
THEME_COOKIE: Final = "bleedwatch-theme"
RECORDS_FAULT: Final = "The box cannot read its records. Look at every head CT yourself. Call the administrator now."
NOT_THERE: Final = "There is no such page on this box. Go back to the board: /"

T = TypeVar("T")


@dataclass(slots=True, kw_only=True)
class Console:
    """What the routes share. The ledger is read and written in threads; the loop itself never waits.

    The live stream has a reader of its own: an alert does not wait until a long page has been written.
    """

    ledger: Ledger
    store_root: Path
    config: DashboardConfig
    clock: Callable[[], Now]
    statuses: Callable[[str], ProgramStatus | None]
    renderer: Renderer
    page_renderer: Renderer
    pictures: Pictures
    pages: Pages
    reader: ThreadPoolExecutor
    page_reader: ThreadPoolExecutor
    writer: ThreadPoolExecutor
    painter: ThreadPoolExecutor
    hub: Hub

    async def in_thread(self, pool: ThreadPoolExecutor, call: Callable[[], T]) -> T:
        """The call's result, waited for without stopping the loop."""
        return await asyncio.get_running_loop().run_in_executor(pool, call)

    async def page(self, request: Request, template: str, *, here: str, read: Read | None = None) -> Response:
        """A whole page. `here` names it in the menu; `read` gives what its template needs beside the frame's own.

        404 where `read` gives None, 503 where the ledger does not answer.
        """
        token = token_of(request.cookies.get(COOKIE))
        theme = request.cookies.get(THEME_COOKIE, THEMES[0])
        theme = theme if theme in THEMES else THEMES[0]
        try:
            markup = await self.in_thread(
                self.page_reader,
                lambda: self.page_renderer.page(
                    template, self.clock(), here=here, token=token, theme=theme, screen=screen_of(token), read=read
                ),
            )
        except Fault:
            return PlainTextResponse(RECORDS_FAULT, status_code=503)
        if markup is None:
            return PlainTextResponse(NOT_THERE, status_code=404)
        response = HTMLResponse(markup)
        response.set_cookie(COOKIE, token, httponly=True, samesite="strict", path="/")
        return response

    async def parts(self, templates: Mapping[str, str], read: Read) -> Response:
        """What `console.js` fetches when something has changed: markup by the id of its place, and ages in seconds."""
        try:
            parts = await self.in_thread(
                self.page_reader, lambda: self.page_renderer.parts(templates, self.clock(), read)
            )
        except Fault:
            return JSONResponse({"message": RECORDS_FAULT}, status_code=503)
        return JSONResponse({"message": NOT_THERE}, status_code=404) if parts is None else JSONResponse(parts)

    def shut(self) -> None:
        """Lets the threads go. Calls under way end by themselves."""
        for pool in (self.reader, self.page_reader, self.writer, self.painter):
            pool.shutdown(wait=False, cancel_futures=True)


def make_console(
    ledger: Ledger,
    store_root: Path,
    config: DashboardConfig,
    clock: Callable[[], Now],
    *,
    silent: Callable[[Now], dict[str, float]] = lambda _now: {},
    statuses: Callable[[str], ProgramStatus | None] = lambda _program: None,
) -> Console:
    """The parts of the console.

    `silent`: of each program that has fallen silent, for how many seconds; `statuses`: the last status of a program.
    """

    def facts(now: Now) -> BoxFacts:
        triage = statuses("triage")
        ready = triage is not None and triage.ready and not triage.is_silent(now.monotonic_s)
        return BoxFacts(triage_ready=ready, free_bytes=_free_bytes(store_root))

    def unkept() -> Unkept:
        told = [status for program in ("triage", "courier") if (status := statuses(program)) is not None]
        # What a program said that has died since is no longer so; an alert that it could not write is lost to all others.
        moment_s = clock().monotonic_s
        faults = [one.facts for one in told if LEDGER_FACT in one.facts and not one.is_silent(moment_s)]
        return Unkept(
            code=str(faults[0][LEDGER_FACT]) if faults else "",
            since_ns=min((int(facts.get(LEDGER_SINCE_FACT, 0)) for facts in faults), default=0),
            unrecorded=tuple(one for status in told for one in status.unrecorded),
        )

    def version() -> int:
        """What is not in the ledger is news too."""
        return hash((ledger.data_version(), unkept()))

    renderer = Renderer(ledger, config, silent, facts, unkept)
    reader = ThreadPoolExecutor(1, thread_name_prefix="reader")

    async def in_reader(call: Callable[[], Any]) -> Any:
        return await asyncio.get_running_loop().run_in_executor(reader, call)

    def missed_words(after: int) -> str:
        with ledger.reading() as r:
            return desk.missed_since(events_after(r, after, MOST_MISSED))

    def has_news(after: int) -> bool:
        with ledger.reading() as r:
            return has_news_after(r, after)

    def wall() -> tuple[str, str]:
        at = renderer.calendar.at(clock().wall_ns)
        return at.strftime("%H:%M:%S"), at.isoformat(timespec="seconds")

    hub = Hub(
        version=lambda: in_reader(version),
        has_news=lambda after: in_reader(lambda: has_news(after)),
        render=lambda: in_reader(lambda: renderer.snapshot(clock())),
        missed=lambda after: in_reader(lambda: missed_words(after)),
        monotonic_s=lambda: clock().monotonic_s,
        wall=wall,
    )
    return Console(
        ledger=ledger,
        store_root=store_root,
        config=config,
        clock=clock,
        statuses=statuses,
        renderer=renderer,
        page_renderer=Renderer(ledger, config, silent, facts, unkept),
        pictures=Pictures(ledger, store_root),
        pages=Pages(),
        reader=reader,
        page_reader=ThreadPoolExecutor(1, thread_name_prefix="page-reader"),
        writer=ThreadPoolExecutor(1, thread_name_prefix="writer"),
        painter=ThreadPoolExecutor(2, thread_name_prefix="painter"),
        hub=hub,
    )


def _free_bytes(folder: Path) -> int | None:
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return None
