"""One look becomes markup. Everything that came from a header passes the templates' escaping."""

import json
from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from appliance.core.plain_text import plain
from appliance.core.times import Now
from appliance.dashboard.board.first_run import BoxFacts
from appliance.dashboard.board.looking import look
from appliance.dashboard.board.unrecorded import Unkept
from appliance.dashboard.board.views import CONSOLE_FACE, Alarm, BoardView, Face, Moment
from appliance.dashboard.config import DashboardConfig
from appliance.dashboard.live.stream import Shown, Snapshot
from appliance.dashboard.words.moments import Ages, Calendar
from appliance.records.board import Board, BoardMemory, list_begins_ns, read_board
from appliance.records.ledger import Connection, Ledger

PARTS: Final = ("bands", "bar", "elsewhere", "stage", "landing", "today", "tested")
WALL_PARTS: Final = ("bands", "stage", "landing")
"""The parts of the live stream. A page swaps those that it has a place for."""
WALL: Final = "kiosk"
HOUR_NS: Final = 3_600_000_000_000

Context = Mapping[str, Any]
Read = Callable[[Connection, Moment], Context | None]
"""What a page shows of its own, read in one look; None where there is no such thing."""


class Renderer:
    """Reads and renders. Used by one thread at a time."""

    def __init__(
        self,
        ledger: Ledger,
        config: DashboardConfig,
        silent: Callable[[Now], dict[str, float]],
        facts: Callable[[Now], BoxFacts] = lambda _now: BoxFacts(),
        unkept: Callable[[], Unkept] = Unkept,
    ) -> None:
        self._ledger = ledger
        self._config = config
        self._silent = silent
        self._facts = facts
        self._unkept = unkept
        self._wall_face = Face(buttons=False, names=config.kiosk_names)
        self._ages = Ages()
        self._memory = BoardMemory()
        self.calendar = Calendar.of(config.time_zone)
        self._templates = Environment(
            loader=FileSystemLoader(Path(__file__).parent / "templates"),
            autoescape=True,
            # Here, for every page: a header cannot turn its neighbours round or hide a word.
            finalize=_readable,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )

    def snapshot(self, now: Now) -> Snapshot:
        """What every open page shows, as it stands. Fault if the ledger cannot be read."""
        board, moment = self._board(now)
        view = self._view(board, now, moment, CONSOLE_FACE)
        wall = self._view(board, now, moment, self._wall_face)
        return Snapshot(
            shown=Shown(
                parts={part: self._render(f"{part}.html", view=view) for part in PARTS}, alarms=_plain(view.alarms)
            ),
            on_wall=Shown(
                parts={part: self._render(f"{part}.html", view=wall) for part in WALL_PARTS}, alarms=_plain(wall.alarms)
            ),
            ages=moment.counted,
            title=view.title,
            last_event_id=view.last_event_id,
            made_s=now.monotonic_s,
        )

    def page(
        self, template: str, now: Now, *, here: str, token: str, theme: str, screen: str, read: Read | None = None
    ) -> str | None:
        """A whole page, which claims nothing that its script has not yet heard on the stream. None if `read` says so."""
        context: Context | None = {}
        if read is not None:
            context = self._read(now, read)[0]
        if context is None:
            return None
        board, moment = self._board(now)
        view = self._view(board, now, moment, self._wall_face if here == WALL else CONSOLE_FACE)
        at = self.calendar.at(now.wall_ns)
        return self._render(
            template,
            here=here,
            view=view,
            config=self._config,
            token=token,
            theme=theme,
            screen=screen,
            shown_at=at.strftime("%H:%M:%S"),
            shown_at_iso=at.isoformat(timespec="seconds"),
            state=json.dumps({"event": view.last_event_id}),
            **context,
        )

    def parts(self, templates: Mapping[str, str], now: Now, read: Read) -> dict[str, Any] | None:
        """Parts of one page by the id of their place, and the ages in them. None if there is no such thing."""
        context, moment = self._read(now, read)
        if context is None:
            return None
        parts = {part: self._render(template, **context) for part, template in templates.items()}
        return {"parts": parts, "ages": moment.counted}

    def _render(self, template: str, **context: Any) -> str:
        return self._templates.get_template(template).render(**context)

    def _moment(self, now: Now) -> Moment:
        return Moment(now_ns=now.wall_ns, monotonic_s=now.monotonic_s, calendar=self.calendar, ages=self._ages)

    def _read(self, now: Now, read: Read) -> tuple[Context | None, Moment]:
        moment = self._moment(now)
        with self._ledger.reading() as r:
            return read(r, moment), moment

    def _board(self, now: Now) -> tuple[Board, Moment]:
        with self._ledger.reading() as r:
            board = read_board(
                r,
                now_ns=now.wall_ns,
                midnight_ns=self.calendar.midnight_ns(now.wall_ns),
                linger_ns=self._linger_ns,
                memory=self._memory,
            )
        return board, self._moment(now)

    def _view(self, board: Board, now: Now, moment: Moment, face: Face) -> BoardView:
        facts = self._facts(now) if board.last_landed_ns is None else BoxFacts()
        policy = self._config.escalation
        silent, unkept = self._silent(now), self._unkept()
        return look(board, silent, moment, policy=policy, face=face, facts=facts, unkept=unkept)

    @property
    def _linger_ns(self) -> int:
        return round(self._config.linger_h * HOUR_NS)

    def list_begins_ns(self, now: Now) -> int:
        """How far the list of the day goes back."""
        midnight_ns = self.calendar.midnight_ns(now.wall_ns)
        return list_begins_ns(now_ns=now.wall_ns, midnight_ns=midnight_ns, linger_ns=self._linger_ns)


def _readable(value: object) -> object:
    return plain(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _plain(alarms: tuple[Alarm, ...]) -> tuple[dict[str, Any], ...]:
    return tuple(
        {field.name: getattr(alarm, field.name) for field in fields(alarm)} | {"said": plain(alarm.said)}
        for alarm in alarms
    )
