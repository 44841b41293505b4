"""The open pages of the board, by their own word. A page that is silent, unarmed or hidden is no channel."""

import re
import threading
from dataclasses import dataclass
from typing import Final

from appliance.core.status import PageSeen

FORGET_AFTER_S: Final = 60.0
MOST_PAGES: Final = 200
_PAGE_ID: Final = re.compile(r"[0-9a-f]{16}")


def is_page_id(text: object) -> bool:
    """Whether this can be the id that a page gave itself."""
    return isinstance(text, str) and _PAGE_ID.fullmatch(text) is not None


@dataclass(slots=True)
class _Page:
    armed: bool = False
    streams: int = 0
    last_word_s: float = float("-inf")


class Pages:
    """Which pages are there. Used by the loop of the server and by the thread that writes the status file."""

    def __init__(self) -> None:
        self._pages: dict[str, _Page] = {}
        self._lock = threading.Lock()

    def connected(self, page_id: str) -> None:
        """A live stream to this page has begun."""
        with self._lock:
            if len(self._pages) < MOST_PAGES or page_id in self._pages:
                self._pages.setdefault(page_id, _Page()).streams += 1

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

    def word(self, page_id: str, *, armed: bool, monotonic_s: float) -> None:
        """The page has spoken: whether it can sound and be seen. Counts only for a page with a live stream."""
        with self._lock:
            page = self._pages.get(page_id)
            if page is not None:
                page.armed = armed
                page.last_word_s = monotonic_s

    def seen(self, monotonic_s: float) -> list[PageSeen]:
        """The connected pages that have spoken, for the status file."""
        with self._lock:
            forgotten = [
                page_id
                for page_id, page in self._pages.items()
                if page.streams == 0 and monotonic_s - page.last_word_s > FORGET_AFTER_S
            ]
            for page_id in forgotten:
                del self._pages[page_id]
            return [
                PageSeen(page_id=page_id, armed=page.armed, last_word_s_ago=monotonic_s - page.last_word_s)
                for page_id, page in self._pages.items()
                if page.streams > 0 and page.last_word_s > float("-inf")
            ]
