"""From what a picture holds to Hounsfield values. What a window has cut off cannot come back: it is set to what it stood for."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from appliance.core.engine import Window
from appliance.core.reads import Hounsfield
from appliance.imaging.plain_pictures import BadPicture

ASSUMED: Final = Window(center=40, width=120)
"""Of 8-bit pictures whose window nobody knows."""

STORED_ZERO: Final = 1024
"""HU in unsigned pictures of 16 bits: value - 1024."""

SATURATED_GREY: Final = 250
"""From here on a grey value stands for bone: JPEG wavers about 255."""

BONE_HU: Final = 500
"""What saturated grey becomes. Left at the window's end, bone is thinner than it is once pixels are averaged."""

_LEAST_HU, _MOST_HU = -1024, 3071


def hounsfield_of(values: NDArray[Any], window: Window | None, *, is_hu: bool) -> Hounsfield:
    """HU int16 of a picture's values [rows, columns].

    8 bits go through `window` (ASSUMED where none is named); unsigned 16 bits are value - 1024; signed and floating
    values are HU already. BadPicture where what the manifest says cannot be.
    """
    if values.dtype == np.uint8:
        if is_hu:
            raise BadPicture("wrong-window", "8 bits hold no HU: name the window as W/L")
        return _from_grey(values, window or ASSUMED)
    if window is not None:
        raise BadPicture("wrong-window", f"a window is for pictures of 8 bits, these are {values.dtype}: say hu")
    if values.dtype.kind == "b":
        raise BadPicture("not-a-picture", "true and false are no grey values")
    hu = np.nan_to_num(values.astype(np.float32), nan=_LEAST_HU)
    if values.dtype.kind == "u":
        hu -= STORED_ZERO
    return np.rint(np.clip(hu, _LEAST_HU, _MOST_HU)).astype(np.int16)


def _from_grey(grey: NDArray[np.uint8], window: Window) -> Hounsfield:
    low = window.center - window.width / 2
    by_grey = np.clip(low + np.arange(256) * (window.width / 255), _LEAST_HU, _MOST_HU)
    by_grey[SATURATED_GREY:] = np.maximum(by_grey[SATURATED_GREY:], BONE_HU)
    return np.asarray(np.rint(by_grey).astype(np.int16)[grey])
