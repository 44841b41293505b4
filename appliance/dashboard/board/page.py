"""The board: what the technologist lives with. Its list of the day can be narrowed, turned over and searched."""

from collections.abc import Mapping
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from appliance.core.seeking import words_of
from appliance.core.times import Now
from appliance.dashboard.board.day import day_view, found_view, shown_of
from appliance.dashboard.board.rows import day_sums
from appliance.dashboard.board.views import DayView, Moment
from appliance.dashboard.console import Console
from appliance.dashboard.posting import Body, number, posted
from appliance.records.board import MOST_ROWS, BoardMemory, read_board_studies
from appliance.records.counts import count_day
from appliance.records.day_list import count_shown, day_list
from appliance.records.ledger import Connection
from appliance.records.search import MOST_FOUND, search_studies

PARTS: Final = {"today": "today.html"}
MOST_PAGES: Final = 1000


def routes(console: Console) -> list[Route]:
    """The first page of the box, and its list. What is searched for is sent, so that no address holds a name."""
    memory = BoardMemory()

    async def page(request: Request) -> Response:
        return await console.page(request, "board.html", here="board")

    async def listed(console: Console, body: Body) -> Response:
        now = console.clock()
        asked = min(max(1, number(body.get("number"))), MOST_PAGES)
        words = words_of(body["words"]) if isinstance(body.get("words"), str) else ()
        if not words:
            return await console.parts(PARTS, _narrowed(console, now, memory, body.get("show"), asked))
        # Not in the reader's thread: a search through years must not keep an alert waiting.
        found = await console.in_thread(console.painter, lambda: _search(console, words))
        return await console.parts(PARTS, _found(console, now, memory, found, asked))

    return [Route("/", page), posted(console, "/list", listed)]


def _search(console: Console, words: tuple[str, ...]) -> list[int]:
    with console.ledger.reading() as r:
        return search_studies(r, words)


def _narrowed(console: Console, now: Now, memory: BoardMemory, show: object, page: int) -> Any:
    shown, since_ns = shown_of(show), console.renderer.list_begins_ns(now)

    def read(r: Connection, moment: Moment) -> Mapping[str, Any]:
        counts = count_shown(r, since_ns)
        total = counts.get(shown, 0) if shown is not None else sum(counts.values())
        # Rows may have gone since the page was asked for: then the last page that there is.
        at = min(page, max(1, -(-total // MOST_ROWS)))
        ids = day_list(r, since_ns, shown, limit=MOST_ROWS, offset=(at - 1) * MOST_ROWS)
        studies = read_board_studies(r, ids, memory)
        sums = day_sums(count_day(r, moment.calendar.midnight_ns(moment.now_ns)))
        return _day(day_view(studies, counts, moment, sums=sums, shown=shown, page=at))

    return read


def _found(console: Console, now: Now, memory: BoardMemory, found: list[int], page: int) -> Any:
    since_ns = console.renderer.list_begins_ns(now)
    at = min(page, max(1, -(-min(len(found), MOST_FOUND) // MOST_ROWS)))

    def read(r: Connection, moment: Moment) -> Mapping[str, Any]:
        studies = read_board_studies(r, found[(at - 1) * MOST_ROWS : at * MOST_ROWS], memory)
        return _day(found_view(studies, count_shown(r, since_ns), len(found), moment, page=at))

    return read


def _day(day: DayView) -> Mapping[str, Any]:
    return {"view": {"day": day}}
