"""The live stream: server-sent events, written by hand.

One task looks at the ledger for all pages. An event `board` carries the fragments that changed and has the id of the last
alert event, so a page that slept says where it stood; `alive` comes each second and says how long ago the ledger answered.
"""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from appliance.core.errors import Fault

log = logging.getLogger(__name__)

LOOK_EVERY_S: Final = 0.05
RENDER_AT_LEAST_EVERY_S: Final = 2.0
STRIPS_EVERY_S: Final = 0.25
"""What lands, and who has been told, is painted together: it may take half a second, an alarm may not wait for it."""
ALIVE_EVERY_S: Final = 1.0
AFTER_ERROR_S: Final = 1.0
LEDGER_ANSWERS_WITHIN_S: Final = 5.0
MOST_WAITING: Final = 50
"""A page that has not taken this many messages is cut off; it comes back by itself and gets the whole board."""
STREAMS_PER_BROWSER: Final = 4
"""A browser keeps six connections to a host. Two are left for pictures and for Acknowledge."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What one kind of page is given. `parts`: markup by the id of its place."""

    parts: Mapping[str, str]
    alarms: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """One rendering of the board. `ages` in seconds, true at `made_s`.

    `shown`: for a person at a console; `on_wall`: for the wall screen, which may not say names.
    """

    shown: Shown
    on_wall: Shown
    ages: Mapping[str, float]
    title: str
    last_event_id: int
    made_s: float  # monotonic


@dataclass(eq=False, slots=True)
class Listener:
    """One open page's end of the stream. `wall`: it is the wall screen."""

    page_id: str
    browser: str
    after: int
    wall: bool = False
    queue: "asyncio.Queue[str | None]" = field(default_factory=lambda: asyncio.Queue(MOST_WAITING))


class Hub:
    """Looks, compares with what was shown last, and hands what changed to every page."""

    def __init__(
        self,
        *,
        version: Callable[[], Awaitable[int]],
        has_news: Callable[[int], Awaitable[bool]],
        render: Callable[[], Awaitable[Snapshot]],
        missed: Callable[[int], Awaitable[str]],
        monotonic_s: Callable[[], float],
        wall: Callable[[], tuple[str, str]],
    ) -> None:
        self._version = version
        self._has_news = has_news
        self._render = render
        self._missed = missed
        self._monotonic_s = monotonic_s
        self._wall = wall
        self._listeners: list[Listener] = []
        self._shown: Snapshot | None = None
        self._seen_version: int | None = None
        self._looked_s = float("-inf")
        self._closed = asyncio.Event()
        self.looks = 0
        """Looks that have come back, with or without the ledger's answer. A look that hangs does not count."""

    async def run(self) -> None:
        """Until `close`. A ledger that does not answer leaves the pages with an `alive` that says so."""
        alive_due_s = self._monotonic_s()
        while not self._closed.is_set():
            try:
                await self.look()
            except Fault:
                self._seen_version = None
            except Exception as error:  # noqa: BLE001 - one row that cannot be shown must not end the board
                # The pages then say that nothing is known, which is true. The message could name a patient.
                log.error("the board cannot be shown", extra={"facts": {"error": type(error).__name__}})
                self._seen_version = None
                await self._pause(AFTER_ERROR_S)
            if self._monotonic_s() >= alive_due_s:
                self._tell_all(self._alive())
                alive_due_s = self._monotonic_s() + ALIVE_EVERY_S
            self.looks += 1
            await self._pause(LOOK_EVERY_S)

    async def look(self) -> None:
        """One look: tells the pages if anything they show has changed."""
        version = await self._version()
        now_s = self._monotonic_s()
        fresh = self._shown is not None and now_s - self._shown.made_s < RENDER_AT_LEAST_EVERY_S
        if (version != self._seen_version and not await self._may_wait(now_s)) or not fresh:
            snapshot = await self._render()
            self._seen_version = version
            before, self._shown = self._shown, snapshot
            if before is None or _differs(before, snapshot):
                board, wall = self._board(snapshot, before), self._board(snapshot, before, wall=True)
                self._tell(lambda listener: wall if listener.wall else board)
        self._looked_s = self._monotonic_s()

    async def _may_wait(self, now_s: float) -> bool:
        """Whether what has changed is no news of an alert, and the last paint is not long ago."""
        shown = self._shown
        if shown is None or now_s - shown.made_s >= STRIPS_EVERY_S:
            return False
        return not await self._has_news(shown.last_event_id)

    def answers(self, monotonic_s: float) -> bool:
        """Whether the ledger has answered lately."""
        return monotonic_s - self._looked_s < LEDGER_ANSWERS_WITHIN_S

    def close(self) -> None:
        """Ends `run` and every stream, so that the server can stop with pages open."""
        self._closed.set()
        for listener in self._listeners:
            _put(listener, None)

    async def listen(self, listener: Listener) -> AsyncIterator[str]:
        """What one page hears, from the whole board on. Ends when the hub closes or the page is too slow."""
        self._make_room(listener.browser)
        self._listeners.append(listener)
        try:
            yield "retry: 2000\n\n"
            if self._shown is None:
                await self.look()
            if self._shown is not None:
                yield self._board(self._shown, None, wall=listener.wall)
            yield self._alive()
            if listener.after:
                words = await self._missed(listener.after)
                yield _event("missed", {"words": words})
            while not self._closed.is_set():
                message = await listener.queue.get()
                if message is None:
                    return
                yield message
        finally:
            if listener in self._listeners:
                self._listeners.remove(listener)

    def _make_room(self, browser: str) -> None:
        of_browser = [one for one in self._listeners if one.browser == browser]
        for listener in of_browser[: len(of_browser) - STREAMS_PER_BROWSER + 1]:
            _put(listener, _event("rest", {}))
            _put(listener, None)
            self._listeners.remove(listener)

    def _tell_all(self, message: str) -> None:
        self._tell(lambda _listener: message)

    def _tell(self, message: Callable[[Listener], str]) -> None:
        for listener in list(self._listeners):
            if not _put(listener, message(listener)):
                self._listeners.remove(listener)
                _drain(listener)
                _put(listener, None)

    def _alive(self) -> str:
        time, iso = self._wall()
        read_ago_s = min(1e6, self._monotonic_s() - self._looked_s)
        return _event("alive", {"time": time, "iso": iso, "read_ago_s": round(read_ago_s, 3)})

    def _board(self, snapshot: Snapshot, before: Snapshot | None, *, wall: bool = False) -> str:
        shown = snapshot.on_wall if wall else snapshot.shown
        known = (before.on_wall if wall else before.shown).parts if before else {}
        parts = {place: markup for place, markup in shown.parts.items() if known.get(place) != markup}
        data = {
            "parts": parts,
            "ages": snapshot.ages,
            "ago_s": round(self._monotonic_s() - snapshot.made_s, 3),
            "alarms": shown.alarms,
            "title": snapshot.title,
        }
        return _event("board", data, event_id=snapshot.last_event_id)

    async def _pause(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._closed.wait(), seconds)
        except TimeoutError:
            return


def _differs(before: Snapshot, after: Snapshot) -> bool:
    """Any alert event counts: a page may show more of its alert's life than the parts that all pages share."""
    if before.last_event_id != after.last_event_id:
        return True
    return before.shown != after.shown or before.on_wall != after.on_wall or before.title != after.title


def _event(kind: str, data: Mapping[str, Any], event_id: int | None = None) -> str:
    """One event. JSON has no line feed of its own, so one data line holds it."""
    line = json.dumps(data, ensure_ascii=True, separators=(",", ":"))
    number = "" if event_id is None else f"id: {event_id}\n"
    return f"{number}event: {kind}\ndata: {line}\n\n"


def _put(listener: Listener, message: str | None) -> bool:
    try:
        listener.queue.put_nowait(message)
    except asyncio.QueueFull:
        return False
    return True


def _drain(listener: Listener) -> None:
    while not listener.queue.empty():
        listener.queue.get_nowait()
