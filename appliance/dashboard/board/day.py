"""The list of the day with its buttons, its pages, and what a search has found."""

from collections.abc import Mapping, Sequence
from typing import Final

from appliance.dashboard.board.rows import any_row, day_row
from appliance.dashboard.board.views import DayView, Filter, Moment
from appliance.records.board import MOST_ROWS, BoardStudy
from appliance.records.day_list import Shown
from appliance.records.search import MOST_FOUND

ALL: Final = ""
_WORDS: Final = {
    Shown.CRITICAL: "CRITICAL",
    Shown.REVIEW: "REVIEW",
    Shown.EARLY: "Look early",
    Shown.NO_FINDING: "NO FINDING",
    Shown.NO_HEAD: "No head CT",
}


def shown_of(value: object) -> Shown | None:
    """What a page asks to see; all for anything unknown."""
    return Shown(value) if isinstance(value, str) and value in set(Shown) else None


def day_view(
    studies: Sequence[BoardStudy],
    listed: Mapping[Shown, int],
    moment: Moment,
    *,
    sums: str,
    shown: Shown | None = None,
    page: int = 1,
) -> DayView:
    """One page of the list. `studies` are those of this page."""
    total = sum(listed.values()) if shown is None else listed.get(shown, 0)
    first = (page - 1) * MOST_ROWS
    return DayView(
        heading="Today",
        words=sums if total <= MOST_ROWS and shown is None else _pages_words(first, len(studies), total),
        empty="No study has closed today." if shown is None else "None of these today.",
        rows=tuple(day_row(study, moment) for study in studies),
        filters=_filters(listed, shown),
        page=page,
        newer=page > 1,
        older=first + len(studies) < total,
    )


def found_view(
    studies: Sequence[BoardStudy], listed: Mapping[Shown, int], found: int, moment: Moment, *, page: int
) -> DayView:
    """One page of what a search has found. What was typed stands in its field alone."""
    first = (page - 1) * MOST_ROWS
    many = f"{found} or more" if found >= MOST_FOUND else str(found)
    return DayView(
        heading="Found",
        words=f"{_pages_words(first, len(studies), many)}, of all days" if studies else "",
        empty="No study has this name, ID or accession number.",
        rows=tuple(any_row(study, moment) for study in studies),
        filters=_filters(listed, None, pressed=False),
        page=page,
        newer=page > 1,
        older=first + len(studies) < found,
        sought=True,
    )


def _pages_words(first: int, rows: int, total: int | str) -> str:
    return f"{first + 1 if rows else 0} to {first + rows} of {total}, newest first; open alerts never leave the top"


def _filters(listed: Mapping[Shown, int], shown: Shown | None, *, pressed: bool = True) -> tuple[Filter, ...]:
    everything = Filter(value=ALL, words="All", count=sum(listed.values()), pressed=pressed and shown is None)
    some = [
        Filter(value=one.value, words=words, count=listed.get(one, 0), pressed=one is shown)
        for one, words in _WORDS.items()
        if listed.get(one, 0) or one is shown or one is not Shown.NO_HEAD
    ]
    return (everything, *some)
