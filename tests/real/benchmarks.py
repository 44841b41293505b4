"""A glimpse of the benchmark: every part of it, for moments. `python -m tests.real.benchmarks JSON HTML [EARLIER]`."""

import contextlib
import sys
from pathlib import Path
from typing import Final

from appliance.bench.command import Wish, run_benchmark
from appliance.bench.plan import Plan
from appliance.bench.stages import Pace
from appliance.bench.whole import Condition
from tests.real.appliance import ENGINE

SLICES: Final = 20
GLIMPSE: Final = Plan(
    quick=True,
    within_s=None,
    slices=SLICES,
    engine=Pace(runs=20, within_s=5.0),
    stages=Pace(runs=10, within_s=5.0),
    idle_s=0.5,
    conditions=(
        Condition(rate_hz=20.0, studies=1),
        Condition(rate_hz=20.0, studies=1, browser=True),
        Condition(rate_hz=0.0, studies=2),
    ),
)


def main(words: list[str]) -> int:
    """Writes the document and the report; compares with an earlier document where one is named."""
    document, html, *earlier = map(Path, words)
    wish = Wish(engine=ENGINE, as_json=True, html=html, against=earlier[0] if earlier else None)
    with document.open("w") as out, contextlib.redirect_stdout(out):
        return run_benchmark(wish, GLIMPSE)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
