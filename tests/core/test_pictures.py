"""What people see of a slice: windows, letters, the heat map."""

import imagecodecs
import numpy as np
import pytest

from appliance.core.headers import SliceGeometry, Vector
from appliance.core.slices import BoxPlace
from appliance.imaging.pictures import MOST_OPAQUE, Edges, edge_letters, render
from appliance.imaging.windows import BRAIN, WINDOWS, windowed
from tests.dicoms import head


def place(row: Vector = (1.0, 0.0, 0.0), column: Vector = (0.0, 1.0, 0.0)) -> SliceGeometry:
    """Where `head()` lies."""
    return SliceGeometry(
        rows=64,
        columns=64,
        pixel_mm=(2.0, 2.0),
        row_direction=row,
        column_direction=column,
        corner_mm=(0.0, 0.0, 0.0),
        position_mm=0.0,
        tilt_deg=0.0,
    )


def test_windows() -> None:
    hu = np.array([[-1024, 0, 40, 80, 3000]], dtype=np.int16)
    assert windowed(hu, BRAIN).tolist() == [[0.0, 0.0, 0.5, 1.0, 1.0]]
    assert {(w.width, w.center) for w in WINDOWS.values()} == {(80, 40), (215, 75), (40, 40), (2800, 600)}


def test_letters() -> None:
    assert edge_letters(place()) == Edges("R", "L", "A", "P")
    assert edge_letters(place(column=(0.0, 0.95, -0.31))) == Edges("R", "L", "A", "P")
    assert edge_letters(place(row=(0.0, 1.0, 0.0), column=(0.0, 0.0, -1.0))) == Edges("A", "P", "H", "F")
    assert edge_letters(place(row=(0.7, 0.7, 0.0))) == Edges("?", "?", "A", "P")
    assert edge_letters(None) == Edges("?", "?", "?", "?")


@pytest.mark.parametrize("size", [16, 64, 97, 512])
def test_a_grey_picture(size: int) -> None:
    picture = render(head(), place(), BRAIN, size_px=size)
    cells = imagecodecs.png_decode(picture.png)
    assert cells.shape == (size, size) and cells.dtype == np.uint8
    assert picture.mm_per_px == pytest.approx(128.0 / size)
    assert cells[size // 2, size // 2] == round(255 * 35 / 80) and cells[0, 0] == 0


def test_a_long_picture_stands_on_black() -> None:
    cells = imagecodecs.png_decode(render(np.full((32, 64), 40, np.int16), None, BRAIN, size_px=64).png)
    assert cells[:15].max() == 0 and cells[-15:].max() == 0 and cells[32].min() == 128


def test_the_bright_mark_stays_upper_left() -> None:
    cells = imagecodecs.png_decode(render(head(), place(), WINDOWS["bone"], size_px=256).png)
    inside = cells[60:196, 60:196]
    row, column = np.unravel_index(inside.argmax(), inside.shape)
    assert row < 40 and column < 40


def heated(peak: int, size: int = 128) -> tuple[np.ndarray, np.ndarray]:
    """The picture with and without a heat map that has one hot part right of the middle."""
    heat = np.zeros((56, 56), np.uint8)
    heat[24:32, 36:44] = peak
    box = BoxPlace(centre_rc=(31.5, 31.5), side_mm=112.0)
    plain = imagecodecs.png_decode(render(head(), place(), BRAIN, size_px=size).png).astype(float)
    over = imagecodecs.png_decode(render(head(), place(), BRAIN, heat=heat, box=box, size_px=size).png).astype(float)
    return np.repeat(plain[:, :, None], 3, axis=2), over


def test_a_heat_map_lies_where_it_belongs_and_hides_nothing() -> None:
    plain, over = heated(255)
    changed = np.abs(over - plain).max(axis=2) > 1
    rows, columns = np.nonzero(changed)
    # Cells 36 to 44 of 56 are 16 to 32 mm right of the middle; a pixel is one mm.
    assert 60 <= rows.mean() <= 68 and 84 <= columns.mean() <= 92
    middle = over[64, 88] - plain[64, 88] * (1 - MOST_OPAQUE)
    assert np.all(middle <= 255 * MOST_OPAQUE + 1)
    assert over[64, 88, 0] > over[64, 88, 2]  # yellow


def test_a_dashed_line_stands_at_half() -> None:
    def line(peak: int) -> int:
        plain, over = heated(peak, 256)
        return int((over.min(axis=2) > 200).sum() - (plain.min(axis=2) > 200).sum())

    assert line(110) <= 0 < line(150)


def test_a_cold_map_changes_nothing() -> None:
    plain, over = heated(0)
    assert np.array_equal(plain, over)


def test_absurd_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="not drawn"):
        render(head(), place(), BRAIN, size_px=100_000)
