"""Stored values to Hounsfield units. Each trap is a named correction or a refusal; nothing is guessed in silence."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from appliance.core.reads import Hounsfield
from appliance.imaging.picture import PictureSpec, Rescale

AIR_HU: Final = -1024
HIGHEST_HU: Final = 32767

UNDECLARED_FILLING_BELOW_HU: Final = -1100
TISSUE_ABOVE_HU: Final = -900  # filling above this looks like tissue and needs proof

# Wrapped 12-bit values: air, stored with an offset of 1000 or 1024 that was lost, lies just below 4096.
_WRAP: Final = 4096
_WRAPPED_AIR: Final = (2990, 3240)
_WRAPPED_SHARE: Final = 0.15
_WRAPPED_INTERCEPT_ABOVE: Final = -100.0

Stored = NDArray[np.uint16]
Values = NDArray[np.uint16] | NDArray[np.int16] | NDArray[np.int32]


def to_hounsfield(stored: Stored, spec: PictureSpec, rescale: Rescale) -> tuple[Hounsfield, frozenset[str]]:
    """HU of a picture, int16 [rows, columns], from its 16-bit cells as they were stored.

    Filling becomes air and nothing lies below AIR_HU; what lies above int16 is cut. Also gives the codes of what had to
    be corrected. `stored` is not changed.
    """
    corrections: set[str] = set()
    values: Values = _values(stored, spec, corrections)
    slope, intercept = rescale.slope, rescale.intercept
    if _is_wrapped(values, spec, rescale):
        corrections.add("wrapped-12-bit")
        values = values + np.int32(1000)
        values = np.where(values >= _WRAP, values - _WRAP, values)
        intercept = -1000.0
    filling = _filling(values, rescale, corrections)
    if slope == 1.0 and intercept == int(intercept):
        hu = values.astype(np.int32) + np.int32(intercept)
    else:
        hu = np.clip(np.rint(values.astype(np.float64) * slope + intercept), -32768, HIGHEST_HU).astype(np.int32)
    if filling is None:
        filling = _undeclared_filling(hu)
    if filling is not None and filling.any():
        corrections.add("padding-removed")
        hu[filling] = AIR_HU
    return np.clip(hu, AIR_HU, HIGHEST_HU).astype(np.int16), frozenset(corrections)


def _values(stored: Stored, spec: PictureSpec, corrections: set[str]) -> NDArray[np.uint16] | NDArray[np.int16]:
    """The values in the bits that count: `bits_stored` of them, the highest at `high_bit`."""
    shift = spec.high_bit + 1 - spec.bits_stored
    unused = 16 - spec.bits_stored
    if shift:
        corrections.add("bits-shifted")
        stored = stored >> np.uint16(shift)
    if not unused:
        return stored.view(np.int16) if spec.signed else stored
    mask = np.uint16((1 << spec.bits_stored) - 1)
    if not spec.signed:
        if int(stored.max(initial=0)) > mask:
            corrections.add("high-bits-masked")
            stored = stored & mask
        return stored
    extended: NDArray[np.int16] = (stored << np.uint16(unused)).view(np.int16) >> np.int16(unused)
    if not shift and not (np.array_equal(extended.view(np.uint16), stored) or int(stored.max(initial=0)) <= mask):
        corrections.add("high-bits-masked")
    return extended


def _is_wrapped(values: Values, spec: PictureSpec, rescale: Rescale) -> bool:
    """By content, not by header alone: nothing below 0 is possible, and a large part is air past the top.

    A true picture of 12 bits with intercept 0 has no such peak and is left alone.
    """
    if spec.signed or spec.bits_stored != 12 or rescale.slope != 1.0 or rescale.intercept <= _WRAPPED_INTERCEPT_ABOVE:
        return False
    low, high = _WRAPPED_AIR
    return float(np.mean((values >= low) & (values <= high))) > _WRAPPED_SHARE


def _filling(values: Values, rescale: Rescale, corrections: set[str]) -> NDArray[np.bool_] | None:
    """Where the declared filling lies; None where none is declared, or none of it is there."""
    if rescale.padding is None or "wrapped-12-bit" in corrections:
        return None
    low, high = rescale.padding
    filling: NDArray[np.bool_] = (values == low) if low == high else (values >= low) & (values <= high)
    if not filling.any():
        return None
    if high * rescale.slope + rescale.intercept > TISSUE_ABOVE_HU:
        filling = _from_the_border(filling)
    return filling


def _undeclared_filling(hu: NDArray[np.int32]) -> NDArray[np.bool_] | None:
    """Values in the corners that no matter has, or that wrapped with the rest: filling that nobody declared."""
    corners = hu[[0, 0, -1, -1], [0, -1, 0, -1]]
    if int(corners.min()) < UNDECLARED_FILLING_BELOW_HU:
        return hu < UNDECLARED_FILLING_BELOW_HU
    if int(corners.min()) == int(corners.max()) > 1000:
        return _from_the_border(hu == corners[0])
    return None


def _from_the_border(filling: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The parts of a mask that hang together with the picture's border."""
    from scipy import ndimage  # rare, and slow to load

    named, count = ndimage.label(filling)
    border = np.concatenate((named[0], named[-1], named[:, 0], named[:, -1]))
    touching = np.zeros(count + 1, dtype=bool)
    touching[border] = True
    touching[0] = False
    found: NDArray[np.bool_] = touching[named]
    return found
