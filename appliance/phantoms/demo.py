"""The studies of the demo: one that bleeds, one that does not, one that must not be analysed."""

from __future__ import annotations

import numpy as np

from appliance.phantoms.bleeds import Bleed
from appliance.phantoms.exam import HELD_OUT_SEED, PhantomExam, Scanner, render

PIXEL_MM = 0.47
SIZE = 512
PAINT_MM = 0.94


def demo_exam(seed: int, *, bleeding: bool, slices: int = 30) -> PhantomExam:
    """Return a whole 512 x 512 exam of 5-mm slices, with an IPH or an SDH of 15 to 40 mL or with none.

    `seed` counts from HELD_OUT_SEED, so that no demo head was ever trained on; a smaller one is raised to it.
    """
    seed = seed if seed >= HELD_OUT_SEED else HELD_OUT_SEED + seed
    rng = np.random.default_rng([seed, 9])
    scanner = Scanner(
        pixel_mm=PIXEL_MM,
        size=SIZE,
        slices=slices,
        thickness_mm=5.0,
        spacing_mm=5.0,
        tilt_deg=float(rng.normal(0, 4)),
        yaw_deg=float(rng.normal(0, 3)),
        roll_deg=float(rng.normal(0, 2)),
        lowest_mm=-64.0,
        shift_mm=(float(rng.normal(0, 6)), float(rng.normal(0, 6))),
        tail_share=float(rng.uniform(0.0, 0.08)),
        noise_hu=float(rng.uniform(2.7, 4.1)),
    )
    kind = str(rng.choice(["iph", "sdh"]))
    bleed = Bleed(kind=kind, volume_ml=float(rng.uniform(18, 40)), core_hu=float(rng.uniform(56, 66)))
    return render(seed, scanner, (bleed,) if bleeding else (), paint_mm=PAINT_MM)
