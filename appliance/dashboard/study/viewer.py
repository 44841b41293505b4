"""The picture of the study page: which slices there are, in which order, and what stands at its edges."""

import json
import zlib
from collections.abc import Callable
from typing import Final

from appliance.core.ledger import SliceRow
from appliance.dashboard.board.cards import series_strip
from appliance.dashboard.study.views import Viewer
from appliance.dashboard.words.header_text import header_text
from appliance.imaging.pictures import SHOWN_FROM, edge_letters
from appliance.records.whole_study import ShownSeries, WholeStudy

GONE: Final = "The pictures were removed. The reading and the record stay."
_COLD: Final = round(255 * SHOWN_FROM)


def viewer_of(whole: WholeStudy, finding_words: str, has_pixels: Callable[[SliceRow], bool]) -> Viewer | None:
    """The picture as it begins: the key slice, or the middle one where there is none. None where nothing was read."""
    shown = whole.shown
    if shown is None or not shown.rows:
        return None
    running = shown.series.closed_ns is None
    strip = series_strip(shown.board, still_open=running)
    places = _places(shown, strip.slice_ids if strip else ())
    key, is_key = _key(shown)
    row = shown.rows[key]
    return Viewer(
        sentence=_sentence(key + 1, len(shown.rows), finding_words if is_key else "", strip.sentence if strip else ""),
        key=row.id,
        key_number=key + 1,
        key_place=places[row.id],
        key_z=f"{row.geometry.position_mm:+.1f}",
        key_is_hot=_heat_mark(row) != "",
        landed=len(shown.rows),
        places=max(len(strip.slice_ids) if strip else 0, max(places.values())),
        slices=json.dumps(
            [[one.id, round(one.geometry.position_mm, 1), places[one.id], _heat_mark(one)] for one in shown.rows],
            separators=(",", ":"),
        ),
        letters=edge_letters(row.geometry),
        series=_series_words(whole, shown),
        scan=_scan_words(shown, row),
        strip=strip,
        is_key=is_key,
        running=running,
        gone="" if has_pixels(row) else GONE,
    )


def _key(shown: ShownSeries) -> tuple[int, bool]:
    """The index of the slice to begin with, and whether it is a key slice."""
    wanted = shown.finding.key_slice_id if shown.finding else None
    at = next((index for index, row in enumerate(shown.rows) if row.id == wanted), None)
    return (len(shown.rows) // 2, False) if at is None else (at, True)


def _places(shown: ShownSeries, on_strip: tuple[int | None, ...]) -> dict[int, int]:
    """Where each slice stands on the scroll bar, from 1: under its bar, or counted where the strip is cut."""
    found = {slice_id: place for place, slice_id in enumerate(on_strip, start=1) if slice_id is not None}
    if all(row.id in found for row in shown.rows):
        return found
    return {row.id: number for number, row in enumerate(shown.rows, start=1)}


def _heat_mark(row: SliceRow) -> str:
    """Names a heat map for the browser's memory: a slice that is scored again has another. Empty where all is cold."""
    if row.score is None or row.score.heat.max() <= _COLD:
        return ""
    return f"{zlib.crc32(row.score.heat.tobytes()):08x}"


def _sentence(number: int, landed: int, finding_words: str, strip_words: str) -> str:
    about = f", key slice. {finding_words}" if finding_words else ""
    return f"Slice {number} of {landed}, brain window, with the heat map{about}. {strip_words}."


def _series_words(whole: WholeStudy, shown: ShownSeries) -> tuple[str, ...]:
    facts = shown.series.facts
    at = next(number for number, one in enumerate(whole.series, start=1) if one.series.id == shown.series.id)
    return (header_text(facts.description or facts.protocol), f"Series {at} of {len(whole.series)}")


def _scan_words(shown: ShownSeries, row: SliceRow) -> tuple[str, ...]:
    """When and how it was scanned, as the header says."""
    when = row.acquired
    dated = len(when) >= 12 and when[:12].isascii() and when[:12].isdigit()
    date = f"{when[:4]}-{when[4:6]}-{when[6:8]} {when[8:10]}:{when[10:12]}" if dated else ""
    kvp, thickness = shown.series.facts.kvp, row.geometry.thickness_mm
    how = [f"{kvp:g} kVp"] if kvp else []
    how += [f"{thickness:.1f} mm"] if thickness else []
    return (date, ", ".join(how))
