"""When it is odd that nothing lands."""

from datetime import UTC, datetime

import pytest

from appliance.core.quiet import WorkingTime, oddly_quiet_s

RULE = WorkingTime(from_hour=7, to_hour=19, quiet_h=3.0)
TUESDAY = datetime(2031, 5, 13, tzinfo=UTC)
SATURDAY = datetime(2031, 5, 17, tzinfo=UTC)


def at(day: datetime, hour: int, minute: int = 0) -> datetime:
    return day.replace(hour=hour, minute=minute)


@pytest.mark.parametrize(
    ("last", "now", "quiet_s"),
    [
        (at(TUESDAY, 9), at(TUESDAY, 11, 59), None),
        (at(TUESDAY, 9), at(TUESDAY, 12), 3 * 3600),
        (at(TUESDAY, 9), at(TUESDAY, 18, 59), 9 * 3600 + 59 * 60),
        (at(TUESDAY, 9), at(TUESDAY, 19), None),
        (at(TUESDAY.replace(day=12), 18), at(TUESDAY, 9, 59), None),  # the night does not count
        (at(TUESDAY.replace(day=12), 18), at(TUESDAY, 10), 16 * 3600),
        (at(SATURDAY.replace(day=16), 9), at(SATURDAY, 15), None),
        (at(TUESDAY, 12), at(TUESDAY, 9), None),  # a clock that was set back
    ],
)
def test_it_is_odd_in_working_time_alone(last: datetime, now: datetime, quiet_s: float | None) -> None:
    assert oddly_quiet_s(RULE, last_landed=last, now=now) == quiet_s


def test_it_can_be_switched_off() -> None:
    off = WorkingTime(quiet_h=0)
    assert oddly_quiet_s(off, last_landed=at(TUESDAY, 7), now=at(TUESDAY, 18)) is None
