"""The open pages of the console, by their own word. A page that is silent, unarmed or hidden is no channel."""

import hashlib
import re
import threading
from dataclasses import dataclass
from typing import Final

from appliance.core.status import PageSeen

FORGET_AFTER_S: Final = 60.0
MOST_PAGES: Final = 200
_PAGE_ID: Final = re.compile(r"[0-9a-f]{16}")
_PLACE: Final = re.compile(r"[a-z]{1,12}")
NEVER_S: Final = 1e6
"""For a page that has not spoken yet."""


def is_page_id(text: object) -> bool:
    """Whether this can be the id that a page gave itself."""
    return isinstance(text, str) and _PAGE_ID.fullmatch(text) is not None


def place_of(text: str) -> str:
    """Which page of the console it says it is; empty for what cannot be one."""
    return text if _PLACE.fullmatch(text) else ""


def screen_of(token: str) -> str:
    """What people call a browser: four digits that stay as long as its cookie, and do not tell it."""
    return hashlib.sha256(token.encode()).hexdigest()[:4] if token else ""


@dataclass(slots=True)
class _Page:
    place: str = ""
    screen: str = ""
    armed: bool = False
    hidden: bool = False
    streams: int = 0
    last_word_s: float = float("-inf")


class Pages:
    """Which pages are there. Used by the loop of the server and by the thread that writes the status file."""

    def __init__(self) -> None:
        self._pages: dict[str, _Page] = {}
        self._lock = threading.Lock()

    def connected(self, page_id: str, *, place: str = "", screen: str = "") -> None:
        """A live stream to this page has begun."""
        with self._lock:
            if len(self._pages) < MOST_PAGES or page_id in self._pages:
                page = self._pages.setdefault(page_id, _Page(place=place, screen=screen))
                page.streams += 1

    def disconnected(self, page_id: str) -> None:
        """A live stream to this page has ended."""
        with self._lock:
            page = self._pages.get(page_id)
            if page is not None:
                page.streams = max(0, page.streams - 1)

    def is_connected(self, page_id: str) -> bool:
        """Whether this page has a live stream."""
        with self._lock:
            page = self._pages.get(page_id)
            return page is not None and page.streams > 0

    def word(self, page_id: str, *, armed: bool, monotonic_s: float, hidden: bool = False) -> None:
        """The page has spoken: whether it can sound and be seen. Counts only for a page with a live stream."""
        with self._lock:
            page = self._pages.get(page_id)
            if page is not None:
                page.armed = armed and not hidden
                page.hidden = hidden
                page.last_word_s = monotonic_s

    def where(self, page_id: str) -> dict[str, str]:
        """Place and screen of a page, for the record of what was pressed on it; empty for one that is not known."""
        with self._lock:
            page = self._pages.get(page_id)
            return {} if page is None else {"place": page.place, "screen": page.screen}

    def open(self, monotonic_s: float) -> list[PageSeen]:
        """The connected pages, those that have not spoken yet too."""
        with self._lock:
            self._forget(monotonic_s)
            return [
                PageSeen(
                    page_id=page_id,
                    armed=page.armed,
                    last_word_s_ago=min(NEVER_S, monotonic_s - page.last_word_s),
                    place=page.place,
                    hidden=page.hidden,
                    screen=page.screen,
                )
                for page_id, page in self._pages.items()
                if page.streams > 0
            ]

    def seen(self, monotonic_s: float) -> list[PageSeen]:
        """The connected pages that have spoken, for the status file."""
        return [page for page in self.open(monotonic_s) if page.last_word_s_ago < NEVER_S]

    def _forget(self, monotonic_s: float) -> None:
        forgotten = [
            page_id
            for page_id, page in self._pages.items()
            if page.streams == 0 and monotonic_s - page.last_word_s > FORGET_AFTER_S
        ]
        for page_id in forgotten:
            del self._pages[page_id]
