"""The two clocks of the box, read together and passed as one argument."""

from dataclasses import dataclass

NS_PER_S = 1_000_000_000
LAST_NS = 2**63 - 1  # in the year 2262: what a ledger can hold


@dataclass(frozen=True, slots=True)
class Now:
    """`monotonic_s` for every duration and deadline; `wall_ns` (UTC) for what people read."""

    monotonic_s: float
    wall_ns: int

    def plus(self, seconds: float) -> "Now":
        """Both clocks, moved on together."""
        return Now(self.monotonic_s + seconds, self.wall_ns + round(seconds * NS_PER_S))
