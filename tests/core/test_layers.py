"""The two layers of a picture: the grey slice and the heat map that is laid over it."""

from dataclasses import replace

import imagecodecs
import numpy as np
import pytest

from appliance.core.engine import Window
from appliance.core.slices import BoxPlace
from appliance.imaging.layers import LEAST_PX, MOST_PX, grey_layer, grey_side_px, heat_layer
from appliance.imaging.pictures import MOST_OPAQUE, render
from appliance.imaging.windows import BRAIN, WINDOWS
from tests.core.test_pictures import place

BOX = BoxPlace(centre_rc=(31.5, 31.5), side_mm=112.0)


def drawn(size: int) -> np.ndarray:
    return np.random.default_rng(3).integers(-1100, 1400, (size, size)).astype(np.int16)


@pytest.mark.parametrize("window", WINDOWS.values())
def test_a_slice_of_512_is_shown_pixel_by_pixel(window: Window) -> None:

    geometry = replace(place(), rows=512, columns=512, pixel_mm=(0.45, 0.45))
    hu = drawn(512)
    cells = imagecodecs.png_decode(grey_layer(hu, geometry, window))
    whole = imagecodecs.png_decode(render(hu, geometry, window, size_px=512).png)
    assert cells.shape == (512, 512)
    assert np.abs(cells.astype(int) - whole).max() <= 1


def test_any_other_slice_becomes_a_square_on_black() -> None:

    wide = replace(place(), rows=100, columns=300, pixel_mm=(1.0, 1.0))
    cells = imagecodecs.png_decode(grey_layer(np.full((100, 300), 80, np.int16), wide, BRAIN))
    assert cells.shape == (300, 300)
    assert cells[:95].max() == 0 and cells[205:].max() == 0 and cells[150].min() == 255
    assert grey_side_px(place()) == LEAST_PX
    assert grey_side_px(replace(place(), rows=5000, columns=5000, pixel_mm=(0.1, 0.1))) == MOST_PX


def test_the_heat_map_lies_where_it_belongs_and_hides_nothing() -> None:
    heat = np.zeros((56, 56), np.uint8)
    heat[24:32, 36:44] = 255
    cells = imagecodecs.png_decode(heat_layer(heat, BOX, place()))
    assert cells.shape == (640, 640, 4)
    opacity = cells[:, :, 3] / 255
    rows, columns = np.nonzero(opacity)
    # Cells 36 to 44 of 56 are 16 to 32 mm right of the middle; a pixel is a fifth of a mm.
    assert 310 <= rows.mean() <= 330 and 430 <= columns.mean() <= 450
    line = opacity == 1.0
    assert line.any(), "the dashed line"
    assert opacity[~line].max() <= MOST_OPAQUE
    assert opacity[~line].max() > MOST_OPAQUE - 0.01
    assert opacity[:, :320].max() == 0, "nothing where it is cold"


def test_below_half_there_is_no_line_and_a_cold_map_is_empty() -> None:
    heat = np.zeros((56, 56), np.uint8)
    heat[24:32, 36:44] = 110
    warm = imagecodecs.png_decode(heat_layer(heat, BOX, place()))[:, :, 3]
    assert 0 < warm.max() <= 255 * MOST_OPAQUE
    assert imagecodecs.png_decode(heat_layer(np.zeros((56, 56), np.uint8), BOX, place()))[:, :, 3].max() == 0
