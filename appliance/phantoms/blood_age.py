"""Blood that is not one fresh clot: unclotted, weeks old, mixed, or settled into a level with plasma above.

Sources: acute blood at 50-70 HU, unclotted like flowing blood at 35-50, about 1.5 HU less a day, chronic 10-25.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from appliance.phantoms.bleed import Bleed
from appliance.phantoms.fields import Field, as_field, smooth_noise, smoothstep
from appliance.phantoms.head import Head

_AGES = ("acute", "unclotted", "older", "mixed", "settled")
_OFTEN = (0.62, 0.08, 0.1, 0.12, 0.08)
_CAN_SETTLE = ("iph", "sdh", "edh")


def drawn_age(rng: np.random.Generator, bleed: Bleed) -> Bleed:
    """Return the bleed at a drawn age: most as they are, some dimmer, mixed or settled."""
    age = str(rng.choice(_AGES, p=_OFTEN))
    if age == "unclotted":
        return replace(bleed, core_hu=float(rng.uniform(42, 52)), mixed=float(rng.uniform(0.2, 0.6)))
    if age == "older":
        return replace(bleed, core_hu=float(rng.uniform(38, 50)))
    if age == "mixed":
        return replace(bleed, mixed=float(rng.uniform(0.2, 0.7)))
    if age == "settled" and bleed.kind in _CAN_SETTLE and bleed.volume_ml > 4.0:
        return replace(bleed, level_share=float(rng.uniform(0.3, 0.7)))
    return bleed


def aged(rng: np.random.Generator, head: Head, bleed: Bleed, share: Field, blood: Field | float) -> Field | float:
    """Return the HU of the bleed's blood with its islands and its level; `blood` itself for a fresh clot."""
    if bleed.mixed:
        islands = smooth_noise(rng, head.scan.shape, head.scan.extent_mm, float(rng.uniform(8, 18)))
        part = smoothstep(islands, 0.9 - 2.0 * bleed.mixed, 1.3 - 2.0 * bleed.mixed)
        blood = as_field(blood + part * (np.float32(rng.uniform(26, 38)) - blood))
    if bleed.level_share:
        blood = _settled(rng, head, bleed, share, blood)
    return blood


def _settled(rng: np.random.Generator, head: Head, bleed: Bleed, share: Field, blood: Field | float) -> Field:
    """Return blood whose cells lie in its `level_share` nearest to the table: the patient lies on the back."""
    rows = head.scan.rows_mm
    amount = share.sum(axis=(0, 2))
    below = np.cumsum(amount[::-1])[::-1]
    cut = rows[int(np.argmin(np.abs(below - bleed.level_share * amount.sum())))]
    down = smoothstep(as_field(rows - cut), -1.0, 1.0)[None, :, None]
    plasma = np.float32(rng.uniform(20, 32))
    return as_field(plasma + down * (blood + np.float32(4.0) - plasma))
