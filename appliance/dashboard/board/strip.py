"""The slice strip: one bar a slice, foot to head. Drawn with SVG attributes, since no inline style is allowed."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Final

from markupsafe import Markup

from appliance.records.board import BoardSlice

WIDTH: Final = 240.0
FOOT: Final = 32.0  # y of the ground line
LINE: Final = 8.6  # y of the critical point
TOP: Final = 4.0
LEAST: Final = 2.5  # height of a bar that says nothing
MOST_PLACES: Final = 600
SAME_PLACE_MM: Final = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Strip:
    """The strip as SVG, made of our own words and numbers alone, and the sentence for those who do not see it.

    `slice_ids` are its places from the foot; None where a slice is missing or still to come.
    """

    svg: Markup
    sentence: str
    slice_ids: tuple[int | None, ...] = ()


@dataclass(frozen=True, slots=True)
class _Place:
    slice_id: int | None
    probability: float | None
    look: str


def draw(
    slices: Sequence[BoardSlice],
    *,
    critical_point: float | None,
    review_point: float | None,
    key_slice_id: int | None,
    expected: int | None,
    still_open: bool,
) -> Strip | None:
    """The strip of slices in the order of their places, foot first. None without a slice."""
    if not slices:
        return None
    places = _places(slices, critical_point, review_point)
    landed = sum(place.slice_id is not None for place in places)
    if still_open and expected is not None and landed < expected:
        places += [_Place(None, None, "b-wait")] * min(expected - landed, MOST_PLACES)
    places = places[:MOST_PLACES]
    pitch = WIDTH / len(places)
    bars = "".join(_bar(place, number, pitch, critical_point) for number, place in enumerate(places))
    return Strip(
        svg=Markup(bars + _key_mark(places, pitch, key_slice_id)),
        sentence=_sentence(places, landed, expected if still_open else None),
        slice_ids=tuple(place.slice_id for place in places),
    )


def _places(slices: Sequence[BoardSlice], critical: float | None, review: float | None) -> list[_Place]:
    """Slices and, between them, the places where the spacing says that one is missing."""
    ordered = sorted(slices, key=lambda one: one.position_mm)
    steps = [later.position_mm - one.position_mm for one, later in pairwise(ordered)]
    usual = median([step for step in steps if step > SAME_PLACE_MM] or [0.0])
    places: list[_Place] = []
    for number, one in enumerate(ordered):
        places.append(_Place(one.id, one.probability, _look(one.probability, critical, review)))
        if number < len(steps) and usual > 0 and steps[number] > 1.5 * usual:
            missing = round(steps[number] / usual) - 1
            places += [_Place(None, None, "b-gap")] * min(missing, MOST_PLACES)
    return places


def _look(probability: float | None, critical: float | None, review: float | None) -> str:
    if probability is None:
        return "b-wait"
    if critical is not None and probability >= critical:
        return "b-crit"
    if review is not None and probability >= review:
        return "b-rev"
    return "b-q"


def _bar(place: _Place, number: int, pitch: float, critical: float | None) -> str:
    inset = 0.12 * pitch
    if place.look == "b-gap":
        height = FOOT - TOP
    elif place.look == "b-wait":
        height = 4.5
    else:
        height = _height(place.probability or 0.0, critical)
    return (
        f'<rect class="{place.look}" x="{number * pitch + inset:.1f}" y="{FOOT - height:.1f}" '
        f'width="{pitch - 2 * inset:.1f}" height="{height:.1f}"/>'
    )


def _height(probability: float, critical: float | None) -> float:
    """A slice at the critical point reaches the dashed line, wherever that point lies."""
    point = critical if critical else 0.5
    if probability <= point:
        return max(LEAST, (FOOT - LINE) * probability / point)
    return FOOT - LINE + (LINE - TOP) * (probability - point) / max(1e-6, 1.0 - point)


def _key_mark(places: Sequence[_Place], pitch: float, key_slice_id: int | None) -> str:
    for number, place in enumerate(places):
        if key_slice_id is not None and place.slice_id == key_slice_id:
            return f'<path class="b-key" d="M{(number + 0.5) * pitch - 4:.1f} 0h8l-4 4.5z"/>'
    return ""


def _sentence(places: Sequence[_Place], landed: int, expected: int | None) -> str:
    words = [
        f"{landed} of {expected} slices landed" if expected else f"{landed} {'slice' if landed == 1 else 'slices'}"
    ]
    critical = sum(place.look == "b-crit" for place in places)
    review = sum(place.look == "b-rev" for place in places)
    missing = sum(place.look == "b-gap" for place in places)
    if critical:
        words.append(f"{critical} above the critical point")
    if review:
        words.append(f"{review} above the review point")
    if not critical and not review:
        words.append("none above the review point")
    if missing:
        words.append(f"{missing} missing")
    return ", ".join(words)
