"""When it is odd that nothing lands: a scanner that has stopped sending looks like a quiet day."""

from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkingTime:
    """The hours of a working day (Monday to Friday, local time), and how many of them may pass without a slice.

    `quiet_h` 0: it is never odd.
    """

    from_hour: int = 7
    to_hour: int = 19
    quiet_h: float = 3.0


def oddly_quiet_s(rule: WorkingTime, *, last_landed: datetime, now: datetime) -> float | None:
    """Seconds since something landed, where that is unusual at this hour; None where it is not.

    Only hours of today's working time count, so the first scan of a morning is not late at once. Both are local.
    """
    if rule.quiet_h <= 0 or now.weekday() > 4 or not rule.from_hour <= now.hour < rule.to_hour:
        return None
    began = now.replace(hour=rule.from_hour, minute=0, second=0, microsecond=0)
    if now - max(last_landed, began) < timedelta(hours=rule.quiet_h):
        return None
    return (now - last_landed).total_seconds()
