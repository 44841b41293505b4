"""What a run measures and for how long: the whole, the quick one, and the glimpse that tests take."""

from dataclasses import dataclass
from typing import Final

from appliance.bench.stages import Pace
from appliance.bench.whole import Condition

RATES_HZ: Final = (10.0, 5.0, 20.0, 50.0, 0.0)
SIDE_BY_SIDE: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """`within_s`: when it must have ended; parts that do not fit any more are named as not measured."""

    quick: bool
    within_s: float | None
    slices: int
    engine: Pace
    stages: Pace
    idle_s: float
    conditions: tuple[Condition, ...]


def _conditions(*, alone: int, together: int) -> tuple[Condition, ...]:
    """What tells most comes first: where the time does not suffice for all, the last ones are left out."""
    single = [Condition(rate_hz=rate_hz, studies=1, times=alone) for rate_hz in RATES_HZ]
    several = [Condition(rate_hz=rate_hz, studies=SIDE_BY_SIDE, times=together) for rate_hz in RATES_HZ]
    watched = Condition(rate_hz=RATES_HZ[0], studies=1, times=alone, browser=True)
    return (single[0], watched, *single[1:], several[0], several[-1], *several[1:-1])


WHOLE: Final = Plan(
    quick=False,
    within_s=None,
    slices=30,
    engine=Pace(runs=5000, within_s=15.0),
    stages=Pace(runs=1000, within_s=8.0),
    idle_s=30.0,
    conditions=(
        *_conditions(alone=10, together=3),
        Condition(rate_hz=0.0, studies=1, times=10, browser=True),
        Condition(rate_hz=RATES_HZ[0], studies=SIDE_BY_SIDE, times=3, browser=True),
    ),
)
QUICK: Final = Plan(
    quick=True,
    within_s=165.0,
    slices=20,
    engine=Pace(runs=1000, within_s=1.5),
    stages=Pace(runs=200, within_s=0.6),
    idle_s=6.0,
    conditions=_conditions(alone=1, together=1),
)
