"""A phantom patient as a strip of a contact sheet: slices as a reader sees them, above the same head without its bleed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from appliance.imaging.pictures import grid_of, sampled
from appliance.imaging.windows import BRAIN, windowed
from appliance.phantoms.exam import PhantomExam

TILE_PX: Final = 200
COLUMNS: Final = 7
_LINE_PX: Final = 16
_SCALE: Final = 2
_INK: Final = 230

# Rows of three pixels from the top, an octal digit each.
_LETTERS: Final = {
    "A": "25755", "B": "65656", "C": "34443", "D": "65556", "E": "74647", "F": "74644", "G": "34553", "H": "55755",
    "I": "72227", "J": "11152", "K": "55655", "L": "44447", "M": "57755", "N": "65555", "O": "25552", "P": "65644",
    "Q": "25563", "R": "65655", "S": "34216", "T": "72222", "U": "55557", "V": "55552", "W": "55775", "X": "55255",
    "Y": "55222", "Z": "71247", "0": "75557", "1": "26227", "2": "61247", "3": "61216", "4": "55711", "5": "74616",
    "6": "34757", "7": "71222", "8": "75757", "9": "75716", ".": "00002", ",": "00024", "-": "00700", ":": "02020",
    "/": "11244", "+": "02720",
}  # fmt: skip

Grey = NDArray[np.uint8]


def strip_of(title: str, exam: PhantomExam) -> Grey:
    """Return a grey picture uint8 [rows, columns]: a title, slices with the bleed, and where there is one those without."""
    shown = _chosen(exam)
    width = COLUMNS * TILE_PX
    rows = [written(f"{title}: {said_of(exam)}", width), _row(exam.hu, shown)]
    if exam.volumes_ml:
        rows += [written("the same without its bleed", width), _row(exam.clean_hu, shown)]
    return np.concatenate(rows)


def said_of(exam: PhantomExam) -> str:
    """Return what the exam shows: kinds and mL, slices where a bleed can be seen, and the slices' thickness."""
    kinds = ", ".join(f"{kind} {ml:.1f} mL" for kind, ml in sorted(exam.volumes_ml.items()))
    seen = int(exam.labels[:, 0].sum())
    return f"{kinds or 'no bleed'}, seen in {seen} of {len(exam.hu)} slices of {exam.scanner.thickness_mm:g} mm"


def written(text: str, width: int) -> Grey:
    """Return a line of text in white on black, cut at `width` pixels."""
    line = np.zeros((_LINE_PX, width), dtype=np.uint8)
    at = 4
    for letter in text.upper():
        bits = np.array([[int(row) >> bit & 1 for bit in (2, 1, 0)] for row in _LETTERS.get(letter, "00000")])
        glyph = np.kron(bits, np.ones((_SCALE, _SCALE), dtype=np.int64)).astype(np.uint8) * np.uint8(_INK)
        if at + glyph.shape[1] > width:
            break
        line[3 : 3 + glyph.shape[0], at : at + glyph.shape[1]] = glyph
        at += glyph.shape[1] + _SCALE
    return line


def _chosen(exam: PhantomExam) -> list[int]:
    """Return which slices are shown, foot to head: the whole head, and more of where blood is."""
    n = exam.hu.shape[0]
    bleeding = np.flatnonzero(exam.labels[:, 0])
    chosen = set(bleeding[np.linspace(0, bleeding.size - 1, 3).astype(int)].tolist()) if bleeding.size else set()
    evenly = np.linspace(0.14 * n, 0.84 * n, 2 * COLUMNS).astype(int).tolist()
    # Every second of them first, so that the whole head is passed through.
    for index in (*evenly[::4], *evenly[2::4], *evenly[1::2]):
        if len(chosen) < min(COLUMNS, n):
            chosen.add(index)
    return sorted(chosen)


def _row(hu: NDArray[np.int16], shown: Sequence[int]) -> Grey:
    tiles = np.zeros((TILE_PX, COLUMNS * TILE_PX), dtype=np.uint8)
    _, rows, columns = hu.shape
    grid = grid_of(rows, columns, (1.0, 1.0), TILE_PX)
    for column, index in enumerate(shown):
        grey = sampled(windowed(hu[index], BRAIN), grid)
        tiles[:, column * TILE_PX : (column + 1) * TILE_PX] = np.rint(grey * 255).astype(np.uint8)
    return tiles
