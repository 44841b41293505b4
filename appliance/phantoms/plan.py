"""What is drawn once for a procedural head: sizes, age, calcium and grey values."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadPlan:
    """What is drawn once for a head; lengths in mm, grey values in HU."""

    size: tuple[float, float, float]
    atrophy: float
    ventricle_scale: float
    skull_mm: float
    dura_mm: float
    blood_hu: float
    white_hu: float
    grey_hu: float
    fluid_hu: float
    falx_mm: float
    falx_hu: float
    plexus_hu: float
    pineal_hu: float
    ganglia_hu: float
    falx_plaque_hu: float
    caps_hu: float
    infarct_hu: float
    asymmetry: float


def draw_plan(rng: np.random.Generator) -> HeadPlan:
    """Draw an adult head; prevalences of calcium and grey values follow published tables."""
    age = rng.uniform(0.0, 1.0)
    atrophy = float(np.clip(age * rng.uniform(0.3, 1.3), 0.0, 1.0))
    scale = rng.normal(1.0, 0.035)
    white = rng.uniform(24.0, 31.0)
    return HeadPlan(
        size=(
            66.0 * scale * rng.normal(1.0, 0.03),
            82.0 * scale * rng.normal(1.0, 0.03),
            73.0 * scale * rng.normal(1.0, 0.03),
        ),
        atrophy=atrophy,
        ventricle_scale=float(rng.uniform(0.65, 1.1) + 0.9 * atrophy * rng.uniform(0.2, 1.0)),
        skull_mm=float(rng.uniform(4.5, 8.5)),
        dura_mm=float(rng.uniform(0.5, 1.3)),
        blood_hu=float(np.clip(rng.uniform(30, 52) * rng.uniform(1.15, 1.4), 38.0, 62.0)),
        white_hu=white,
        grey_hu=white + rng.uniform(5.5, 9.5),
        fluid_hu=float(rng.uniform(3.0, 12.0)),
        falx_mm=float(rng.uniform(0.0, 2.4)),
        falx_hu=float(rng.uniform(42.0, 64.0)),
        plexus_hu=float(rng.uniform(90, 350)) if rng.random() < 0.62 else float(rng.uniform(36, 55)),
        pineal_hu=float(rng.uniform(90, 320)) if rng.random() < 0.65 else 40.0,
        ganglia_hu=float(rng.uniform(55, 160)) if rng.random() < 0.06 else 0.0,
        falx_plaque_hu=float(rng.uniform(120, 500)) if rng.random() < 0.15 else 0.0,
        caps_hu=float(rng.uniform(3.0, 10.0) * atrophy),
        infarct_hu=float(rng.uniform(8.0, 22.0)) if rng.random() < 0.12 else 0.0,
        asymmetry=float(rng.normal(0.0, 0.025)),
    )


def draw_child_plan(rng: np.random.Generator) -> HeadPlan:
    """Draw a child of some years: a smaller head in a thin skull, less contrast, no shrinking and no calcium."""
    plan = draw_plan(rng)
    share = float(rng.uniform(0.78, 0.93))
    return replace(
        plan,
        size=(plan.size[0] * share, plan.size[1] * share, plan.size[2] * share),
        atrophy=0.0,
        ventricle_scale=float(rng.uniform(0.6, 0.9)),
        skull_mm=float(rng.uniform(2.4, 4.2)),
        grey_hu=plan.white_hu + float(rng.uniform(4.0, 6.5)),
        plexus_hu=45.0,
        pineal_hu=38.0,
        ganglia_hu=0.0,
        falx_plaque_hu=0.0,
        caps_hu=0.0,
        infarct_hu=0.0,
    )
