"""rows.csv: one picture a row, with what is known of it. Read whole; a bad row is kept with its fault, and stops nothing."""

import csv
import io
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from appliance.core.engine import Window
from appliance.core.errors import CannotStart
from appliance.core.words import LABELS
from appliance.evaluation.answers import Truth

COLUMNS: Final = ("path", "patient", "stack", "z_mm", "window", "spacing_mm", *LABELS, "mask", "boxes", "slice")
IGNORED: Final = frozenset(("note",))
MOST_BYTES: Final = 256 << 20
HU: Final = "hu"

_Z_MM: Final = (-5000.0, 5000.0)
_SPACING_MM: Final = (0.05, 10.0)

Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row. `path` and `mask` as they stand there; `files` is where they lie. `fault`: why it cannot be read, else "".

    `window`: None where none is named, `is_hu` where the values are HU. `boxes`: x0, y0, x1, y1 in pixels as stored.
    `slice_index`: which slice of a volume, counted from 0. `groups`: further columns that hold something.
    """

    number: int
    path: str
    file: Path
    patient: str = ""
    stack: str = ""
    z_mm: float | None = None
    window: Window | None = None
    is_hu: bool = False
    spacing_mm: float | None = None
    truth: Truth = (None,) * len(LABELS)
    mask: Path | None = None
    boxes: tuple[Box, ...] = ()
    slice_index: int | None = None
    groups: dict[str, str] = field(default_factory=dict)
    fault: str = ""


class _BadField(Exception):
    """What one field holds cannot be meant."""


def read_manifest(path: Path) -> list[Row]:
    """Every row, in order. CannotStart where the file is no such table."""
    try:
        data = path.read_bytes() if path.stat().st_size <= MOST_BYTES else None
    except OSError as error:
        raise CannotStart(f"{path} cannot be read: {error.strerror}. Name the table of your pictures.") from None
    if data is None:
        raise CannotStart(f"{path} is larger than {MOST_BYTES >> 20} MiB: that is no table of pictures.")
    return [_row(number, fields, path.parent) for number, fields in enumerate(table_of(data, path, ("path",)))]


def table_of(data: bytes, path: Path, needed: tuple[str, ...]) -> list[dict[str, str]]:
    """The rows of a CSV file with a line of names. CannotStart where it is none, or a needed column is missing."""
    try:
        reader = csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline=""))
        names = [name.strip() for name in reader.fieldnames or ()]
        reader.fieldnames = names
        rows = [{name: (row.get(name) or "").strip() for name in names} for row in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise CannotStart(f"{path} is no CSV in UTF-8 ({error}). Save it as CSV with a line of names.") from None
    missing = [name for name in needed if name not in names]
    if missing or len(set(names)) != len(names):
        said = f"lacks the column {missing[0]!r}" if missing else "names a column twice"
        raise CannotStart(f"{path} {said}. Its first line must name the columns: {', '.join(COLUMNS)}.")
    return rows


def truth_of(fields: dict[str, str]) -> Truth:
    """The six labels. ValueError for anything but 0, 1 and nothing."""
    return tuple(_label(label, fields.get(label, "")) for label in LABELS)


def groups_of(fields: dict[str, str], known: tuple[str, ...] = COLUMNS) -> dict[str, str]:
    """What stands in further columns."""
    return {
        name: value for name, value in fields.items() if value and name and name not in known and name not in IGNORED
    }


def _row(number: int, fields: dict[str, str], folder: Path) -> Row:
    said = fields["path"]
    plain = Row(
        number=number,
        path=said,
        file=folder / said.replace("\0", ""),
        patient=fields.get("patient", ""),
        stack=fields.get("stack", ""),
        groups=groups_of(fields),
    )
    try:
        if not said or "\0" in said:
            raise _BadField("path is empty")
        window, is_hu = _window(fields.get("window", ""))
        index = fields.get("slice", "")
        return replace(
            plain,
            z_mm=_number("z_mm", fields, _Z_MM),
            window=window,
            is_hu=is_hu,
            spacing_mm=_number("spacing_mm", fields, _SPACING_MM),
            truth=truth_of(fields),
            mask=folder / fields["mask"] if fields.get("mask") else None,
            boxes=_boxes(fields.get("boxes", "")),
            slice_index=_index(index) if index else None,
        )
    except (_BadField, ValueError) as error:
        return replace(plain, fault=f"bad-row: {error}")


def _label(name: str, value: str) -> bool | None:
    if value in ("0", "0.0"):
        return False
    if value in ("1", "1.0"):
        return True
    if value:
        raise ValueError(f"{name} must be 0, 1 or empty")
    return None


def _number(name: str, fields: dict[str, str], limits: tuple[float, float]) -> float | None:
    text = fields.get(name, "")
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        raise _BadField(f"{name} is no number") from None
    if not limits[0] <= value <= limits[1]:
        raise _BadField(f"{name} must lie between {limits[0]:g} and {limits[1]:g}")
    return value


def _index(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 6:
        raise _BadField("slice must be a whole number from 0")
    return int(text)


def _window(text: str) -> tuple[Window | None, bool]:
    """W/L: width, then centre, as it is said of a viewer."""
    if not text:
        return None, False
    if text.lower() == HU:
        return None, True
    parts = text.split("/")
    try:
        width, center = (float(part) for part in parts)
    except ValueError:
        raise _BadField("window must be hu, W/L or empty") from None
    if not (1 <= width <= 10000 and -5000 <= center <= 5000):
        raise _BadField("window lies outside every CT scale")
    return Window(center=center, width=width), False


def _boxes(text: str) -> tuple[Box, ...]:
    return tuple(_box(part.split()) for part in text.split(";") if part.strip())


def _box(parts: list[str]) -> Box:
    try:
        x0, y0, x1, y1 = (float(part) for part in parts)
    except ValueError:
        raise _BadField("boxes must be x0 y0 x1 y1, parted by ;") from None
    if not (x0 <= x1 and y0 <= y1):
        raise _BadField("a box ends before it begins")
    return x0, y0, x1, y1
