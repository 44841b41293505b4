"""Times and ages as people read them."""

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from typing import Final
from zoneinfo import ZoneInfo

SECOND_NS: Final = 1_000_000_000
MOST_AGES: Final = 4096


@dataclass(frozen=True, slots=True)
class Calendar:
    """Wall times in the zone of the site. None is the zone of the box."""

    zone: tzinfo | None

    @classmethod
    def of(cls, name: str) -> "Calendar":
        """The calendar of an IANA zone; empty is the zone of the box."""
        return cls(ZoneInfo(name) if name else None)

    def at(self, at_ns: int) -> datetime:
        """The moment with its zone."""
        return datetime.fromtimestamp(at_ns / SECOND_NS, tz=UTC).astimezone(self.zone)

    def clock(self, at_ns: int) -> str:
        """14:32:07"""
        return self.at(at_ns).strftime("%H:%M:%S")

    def when(self, at_ns: int, now_ns: int) -> str:
        """14:32:07 of today, else with its day: 2026-05-14 14:32."""
        return self.clock(at_ns) if self.at(at_ns).date() == self.at(now_ns).date() else self.spoken(at_ns, now_ns)

    def short(self, at_ns: int) -> str:
        """14:32"""
        return self.at(at_ns).strftime("%H:%M")

    def spoken(self, at_ns: int, now_ns: int) -> str:
        """14:32 of today, else with its day."""
        days = (self.at(now_ns).date() - self.at(at_ns).date()).days
        if days == 0:
            return self.short(at_ns)
        if days == 1:
            return f"yesterday {self.short(at_ns)}"
        return self.at(at_ns).strftime("%Y-%m-%d %H:%M")

    def midnight_ns(self, now_ns: int) -> int:
        """When the day of `now_ns` began."""
        start = self.at(now_ns).replace(hour=0, minute=0, second=0, microsecond=0)
        return int(start.timestamp()) * SECOND_NS


@dataclass(slots=True)
class Ages:
    """Ages that a jumping wall clock cannot change.

    The wall clock is asked once, when a thing is first seen; from then on its age grows with the monotonic clock.
    """

    _first: OrderedDict[Hashable, tuple[float, float]] = field(default_factory=OrderedDict)

    def age_s(self, key: Hashable, since_ns: int, now_ns: int, monotonic_s: float) -> float:
        """Seconds since `since_ns` for this thing; never negative."""
        whole = (key, since_ns)
        if whole not in self._first:
            self._first[whole] = (max(0.0, (now_ns - since_ns) / SECOND_NS), monotonic_s)
        self._first.move_to_end(whole)
        while len(self._first) > MOST_AGES:
            self._first.popitem(last=False)
        age, seen_at = self._first[whole]
        return age + monotonic_s - seen_at

    def left_s(self, key: Hashable, due_ns: int, now_ns: int, monotonic_s: float) -> float:
        """Seconds until `due_ns` for this thing, counted down in the same way; below 0 once it has passed."""
        whole = (key, -due_ns)
        if whole not in self._first:
            self._first[whole] = ((due_ns - now_ns) / SECOND_NS, monotonic_s)
        self._first.move_to_end(whole)
        left, seen_at = self._first[whole]
        return left - (monotonic_s - seen_at)


def lasted(seconds: float) -> str:
    """33 s, 4 min, 1 h 10: a length of time in a sentence."""
    whole = int(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min"
    return f"{whole // 3600} h {whole % 3600 // 60:02d}"
