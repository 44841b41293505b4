"""Which screens should sound and cannot: told on another channel, since they cannot tell it themselves."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from appliance.core.status import PageSeen
from appliance.core.watching import PAGE_ANSWERS_WITHIN_S

SCREENS: Final = frozenset({"board", "kiosk"})
"""The pages that a site hangs up to be alarmed by. Who only reads a study elsewhere is missed by nobody."""
SILENT_AFTER_S: Final = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SilentScreen:
    """A screen that cannot sound. `since_s`: monotonic."""

    screen: str
    place: str
    since_s: float


class Screens:
    """Looks at the open pages and remembers since when each screen cannot sound.

    A screen is a browser: while any of its pages is armed, seen and answering, it can. One without an open board or kiosk
    is no screen (any more).
    """

    def __init__(self) -> None:
        self._able_s: dict[str, float] = {}

    def look(self, pages: Sequence[PageSeen], monotonic_s: float) -> list[SilentScreen]:
        """The screens that could not sound for SILENT_AFTER_S."""
        places = {page.screen: page.place for page in pages if page.place in SCREENS and page.screen}
        able = {page.screen for page in pages if page.armed and page.last_word_s_ago <= PAGE_ANSWERS_WITHIN_S}
        self._able_s = {
            screen: monotonic_s if screen in able else self._able_s.get(screen, monotonic_s) for screen in places
        }
        return [
            SilentScreen(screen=screen, place=places[screen], since_s=able_s)
            for screen, able_s in sorted(self._able_s.items())
            if monotonic_s - able_s >= SILENT_AFTER_S
        ]
