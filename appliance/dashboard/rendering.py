"""One look becomes markup. Everything that came from a header passes the templates' escaping."""

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from appliance.core.times import Now
from appliance.dashboard.config import DashboardConfig
from appliance.dashboard.looking import look
from appliance.dashboard.moments import Ages, Calendar
from appliance.dashboard.stream import Snapshot
from appliance.dashboard.views import BoardView, Moment
from appliance.records.board import BoardMemory, read_board
from appliance.records.ledger import Ledger

PARTS: Final = ("bands", "stage", "landing", "today")
HOUR_NS: Final = 3_600_000_000_000


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
        """The fragments of the board as it stands. Fault if the ledger cannot be read."""
        view, moment = self._look(now)
        return Snapshot(
            parts={part: self._templates.get_template(f"{part}.html").render(view=view) for part in PARTS},
            ages=moment.counted,
            alarms=tuple(asdict(alarm) for alarm in view.alarms),
            title=view.title,
            last_event_id=view.last_event_id,
            made_s=now.monotonic_s,
        )

    def page(self, now: Now, *, token: str, theme: str) -> str:
        """The whole page, which claims nothing that its script has not yet heard on the stream."""
        view, _ = self._look(now)
        at = self.calendar.at(now.wall_ns)
        return self._templates.get_template("board.html").render(
            view=view,
            config=self._config,
            token=token,
            theme=theme,
            shown_at=at.strftime("%H:%M:%S"),
            shown_at_iso=at.isoformat(timespec="seconds"),
            state=json.dumps({"event": view.last_event_id}),
        )

    def _look(self, now: Now) -> tuple[BoardView, Moment]:
        with self._ledger.reading() as r:
            board = read_board(
                r,
                now_ns=now.wall_ns,
                midnight_ns=self.calendar.midnight_ns(now.wall_ns),
                linger_ns=round(self._config.linger_h * HOUR_NS),
                memory=self._memory,
            )
        moment = Moment(now_ns=now.wall_ns, monotonic_s=now.monotonic_s, calendar=self.calendar, ages=self._ages)
        return look(board, self._silent(now), moment), moment
