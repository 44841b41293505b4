"""The page Alerts: what was raised, who was told, who answered, how it was judged. And the same as a file."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Any, Final
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from appliance.core.errors import Fault
from appliance.core.times import LAST_NS
from appliance.dashboard.alerts.lines import BUTTONS, alert_line, took
from appliance.dashboard.board.views import Moment
from appliance.dashboard.console import RECORDS_FAULT, Console
from appliance.dashboard.words.moments import SECOND_NS, Calendar
from appliance.records.alert_export import Depth, export_steps
from appliance.records.alert_history import ROWS_A_PAGE, Show, read_history
from appliance.records.alert_sums import AlertSums, sum_alerts
from appliance.records.ledger import Connection

SUMS_OVER_DAYS: Final = 30
DAY_NS: Final = 24 * 3600 * SECOND_NS
FILTERS: Final = {
    Show.ALL: "All",
    Show.OPEN: "Open",
    Show.TO_JUDGE: "To be judged",
    Show.CRITICAL: "CRITICAL",
    Show.REVIEW: "REVIEW",
    Show.TECHNICAL: "TECHNICAL",
    Show.TEST: "TEST",
}
PARTS: Final = {
    "alerts-filters": "alerts/filters.html",
    "alerts-history": "alerts/history.html",
    "alerts-pager": "alerts/pager.html",
    "alerts-sums": "alerts/sums.html",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What an address asks for. Nothing of a patient stands in it; what cannot be read asks for everything."""

    show: Show = Show.ALL
    since: date | None = None
    page: int = 1

    @classmethod
    def of(cls, query: Mapping[str, str]) -> "Asked":
        """From the query of an address."""
        show, number = query.get("show", ""), query.get("page", "")
        return cls(
            show=Show(show) if show in set(Show) else Show.ALL,
            since=_day(query.get("from", "")),
            page=int(number) if number.isascii() and number.isdigit() and len(number) < 8 else 1,
        )

    def since_ns(self, calendar: Calendar) -> int:
        """Midnight of the day in the zone of the site; the beginning of time where none is given."""
        if self.since is None:
            return 0
        midnight = datetime.combine(self.since, time.min, tzinfo=calendar.zone)
        return min(int(midnight.timestamp()) * SECOND_NS, LAST_NS)

    def address(self, path: str, *, show: Show | None = None, page: int = 1) -> str:
        """The same asked under a path, with another filter or page."""
        words = {"show": show or self.show, "from": self.since.isoformat() if self.since else "", "page": page}
        said = {name: str(word) for name, word in words.items() if word not in ("", 1, Show.ALL)}
        return f"{path}?{urlencode(said)}" if said else path


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """One filter of the list."""

    word: str
    count: int
    address: str
    chosen: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Sum:
    """One of the four sums."""

    name: str
    value: str
    unit: str
    words: str


def routes(console: Console) -> list[Route]:
    """The page, its live parts, and the export."""

    def reading(asked: Asked) -> Any:
        return lambda r, moment: _read(r, moment, asked, console)

    async def page(request: Request) -> Response:
        return await console.page(
            request, "alerts/page.html", here="alerts", read=reading(Asked.of(request.query_params))
        )

    async def parts(request: Request) -> Response:
        return await console.parts(PARTS, reading(Asked.of(request.query_params)))

    async def export(request: Request) -> Response:
        asked = Asked.of(request.query_params)
        since_ns = asked.since_ns(console.renderer.calendar)
        lines = _lines(console, since_ns=since_ns, open_only=asked.show is Show.OPEN)
        try:
            first = await anext(lines, b"")
        except Fault:
            return PlainTextResponse(RECORDS_FAULT, status_code=503)
        return StreamingResponse(
            _joined(first, lines),
            media_type="application/x-ndjson",
            headers={"content-disposition": 'attachment; filename="alerts.jsonl"'},
        )

    return [Route("/alerts", page), Route("/alerts/parts", parts), Route("/alerts/export", export)]


async def _joined(first: bytes, following: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for some in following:
        yield some


async def _lines(console: Console, *, since_ns: int, open_only: bool) -> AsyncIterator[bytes]:
    """JSON Lines without UIDs and patients, some alerts at a time in a thread of their own: the board never waits."""
    steps = export_steps(console.ledger, since_ns=since_ns, open_only=open_only, depth=Depth.HASHES)

    def following() -> bytes | None:
        step = next(steps, None)
        return None if step is None else "".join(json.dumps(one, sort_keys=True) + "\n" for one in step).encode()

    while (some := await asyncio.to_thread(following)) is not None:
        yield some


def _read(r: Connection, moment: Moment, asked: Asked, console: Console) -> dict[str, Any]:
    history = read_history(r, asked.show, since_ns=asked.since_ns(moment.calendar), page=asked.page)
    sums = sum_alerts(r, moment.now_ns - SUMS_OVER_DAYS * DAY_NS)
    policy = console.config.escalation
    return {
        "parts_address": asked.address("/alerts/parts", page=history.page),
        "parts_follow": "alerts",
        "asked": asked,
        "from_day": asked.since.isoformat() if asked.since else "",
        "export_address": Asked(show=Show.OPEN if asked.show is Show.OPEN else Show.ALL, since=asked.since).address(
            "/alerts/export"
        ),
        "filters": [
            Filter(
                word=word,
                count=history.counts[show],
                address=asked.address("/alerts", show=show),
                chosen=show is asked.show,
            )
            for show, word in FILTERS.items()
        ],
        "lines": [alert_line(story, moment, policy) for story in history.stories],
        "buttons": BUTTONS,
        "page": history.page,
        "pages": history.pages,
        "shown_range": _range(history.page, history.counts[asked.show]),
        "newer": asked.address("/alerts", page=history.page - 1) if history.page > 1 else "",
        "older": asked.address("/alerts", page=history.page + 1) if history.page < history.pages else "",
        "sums": _sums(sums),
    }


def _range(page: int, count: int) -> str:
    first = (page - 1) * ROWS_A_PAGE + 1
    return f"{first} to {min(page * ROWS_A_PAGE, count)} of {count}" if count else ""


def _sums(sums: AlertSums) -> list[Sum]:
    unseen = f"{sums.unseen} not seen yet" if sums.unseen else ""
    alerts = "1 alert" if len(sums.seen_s) == 1 else f"{len(sums.seen_s)} alerts"
    slowest = f"slowest {took(sums.slowest_s)}, {alerts}" if sums.slowest_s is not None else ""
    repeated = f"{sums.repeated} arrived only after another try" if sums.repeated else ""
    owed = f"{sums.owed} still on the way" if sums.owed else ""
    waiting = sums.to_judge - sums.judged
    return [
        Sum(
            name="Raised to seen, CRITICAL",
            value=took(sums.median_s) if sums.median_s is not None else "none yet",
            unit=f"median, {SUMS_OVER_DAYS} days",
            words=", ".join(part for part in (slowest, unseen) if part),
        ),
        Sum(
            name="Escalated",
            value=f"{sums.escalated} of {sums.criticals}",
            unit=f"CRITICAL, {SUMS_OVER_DAYS} days",
            words="told to a further step because nobody answered in time" if sums.escalated else "",
        ),
        Sum(
            name="Deliveries that failed",
            value=str(sums.dead_letters),
            unit=f"dead letters, {SUMS_OVER_DAYS} days",
            words=", ".join(part for part in (repeated, owed) if part),
        ),
        Sum(
            name="Judged",
            value=f"{sums.judged} of {sums.to_judge}",
            unit=f"{SUMS_OVER_DAYS} days",
            words=f"{waiting} still to be judged" if waiting else "",
        ),
    ]


def _day(text: str) -> date | None:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return None
    return day if 1970 < day.year < 9999 else None
