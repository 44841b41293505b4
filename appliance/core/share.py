"""A share of a few cases, with the interval that few cases leave open."""

import math
from dataclasses import dataclass
from typing import Final

Z_95: Final = 1.959963984540054


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """`part` of `whole`, and the 95 % interval of the share behind it, 0 to 1."""

    part: int
    whole: int
    low: float
    high: float

    @property
    def value(self) -> float:
        """The share seen, 0 to 1."""
        return self.part / self.whole


def share_of(part: int, whole: int) -> Share | None:
    """The share with Wilson's interval (Wilson, JASA 1927). None of nothing; ValueError for more than all."""
    if not 0 <= part <= whole:
        raise ValueError(f"{part} of {whole} is no share")
    if whole == 0:
        return None
    seen, spread = part / whole, Z_95**2 / whole
    middle = (seen + spread / 2) / (1 + spread)
    half = Z_95 / (1 + spread) * math.sqrt(seen * (1 - seen) / whole + spread / (4 * whole))
    return Share(part=part, whole=whole, low=max(0.0, middle - half), high=min(1.0, middle + half))
