"""One look becomes markup. Everything that came from a header passes the templates' escaping."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from appliance.core.times import Now
from appliance.dashboard.config import DashboardConfig
from appliance.dashboard.looking import look
from appliance.dashboard.moments import Ages, Calendar
from appliance.dashboard.stream import Snapshot
from appliance.dashboard.views import BoardView, Moment
from appliance.records.board import BoardMemory, read_board
from appliance.records.ledger import Connection, Ledger

PARTS: Final = ("bands", "bar", "stage", "landing", "today")
"""The parts of the live stream. A page swaps those that it has a place for."""
HOUR_NS: Final = 3_600_000_000_000

Context = Mapping[str, Any]
Read = Callable[[Connection, Moment], Context | None]
"""What a page shows of its own, read in one look; None where there is no such thing."""


class Renderer:
    """Reads and renders. Used by one thread at a time."""

    def __init__(self, ledger: Ledger, config: DashboardConfig, silent: Callable[[Now], dict[str, float]]) -> None:
        self._ledger = ledger
        self._config = config
        self._silent = silent
        self._ages = Ages()
        self._memory = BoardMemory()
        self.calendar = Calendar.of(config.time_zone)
        self._templates = Environment(
            loader=FileSystemLoader(Path(__file__).parent / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )

    def snapshot(self, now: Now) -> Snapshot:
        """What every open page shows, as it stands. Fault if the ledger cannot be read."""
        view, moment = self._look(now)
        return Snapshot(
            parts={part: self._render(f"{part}.html", view=view) for part in PARTS},
            ages=moment.counted,
            alarms=tuple(asdict(alarm) for alarm in view.alarms),
            title=view.title,
            last_event_id=view.last_event_id,
            made_s=now.monotonic_s,
        )

    def page(
        self, template: str, now: Now, *, here: str, token: str, theme: str, read: Read | None = None
    ) -> str | None:
        """A whole page, which claims nothing that its script has not yet heard on the stream. None if `read` says so."""
        context: Context | None = {}
        if read is not None:
            context = self._read(now, read)[0]
        if context is None:
            return None
        view, _ = self._look(now)
        at = self.calendar.at(now.wall_ns)
        return self._render(
            template,
            here=here,
            view=view,
            config=self._config,
            token=token,
            theme=theme,
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

    def _look(self, now: Now) -> tuple[BoardView, Moment]:
        with self._ledger.reading() as r:
            board = read_board(
                r,
                now_ns=now.wall_ns,
                midnight_ns=self.calendar.midnight_ns(now.wall_ns),
                linger_ns=round(self._config.linger_h * HOUR_NS),
                memory=self._memory,
            )
        moment = self._moment(now)
        return look(board, self._silent(now), moment), moment
