"""Whole phantom patients by a seed: head, history, bleeds at their age, and a scanner with all that scanners do."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from appliance.phantoms.bleed import Bleed
from appliance.phantoms.bleeds import draw_bleeds
from appliance.phantoms.blood_age import drawn_age
from appliance.phantoms.exam import PhantomExam, Scanner, draw_scanner, render
from appliance.phantoms.head import HeadMaker, build_head
from appliance.phantoms.history import NOTHING, draw_history
from appliance.phantoms.mapped_head import CHILD_SHARE, mapped
from appliance.phantoms.mass_effect import drawn_press
from appliance.phantoms.plan import draw_child_plan
from appliance.phantoms.unseen import Unseen, unseen_bleeds, unseen_scanner, unseen_tissue

_DIMMER = {"edh": 7.0, "iph": 7.0, "sdh": 11.0}
"""HU by which the drawn cores lie over what gives the published medians once bone and noise have been added."""

MOST_SLICES = 48
"""Slices thinner than what this leaves have gaps between them: a thin exam costs no more than a thick one."""


def render_patient(
    seed: int,
    *,
    pixel_mm: float,
    size: int,
    label_map: Path | None = None,
    bleeding: bool = True,
    hard: bool = True,
    unseen: Unseen | None = None,
    noise: bool = True,
    paint_mm: float | None = None,
) -> PhantomExam:
    """Return the exam of a drawn patient, after a label map or, without one, a procedural head.

    `bleeding=False` gives its twin: the same head, history, scanner and noise. `hard` adds operations, metal, broken
    bone, blood of every age, mass effect, and the scanner's faults. `unseen` is what differs from all training: the rest
    of the patient stays as it is without the word. Without `noise` it can be made afresh each time the exam is used
    (`acquisition.scan_noise`).
    """
    rng = np.random.default_rng([seed, 20])
    scanner = (
        draw_hard_scanner(rng, pixel_mm=pixel_mm, size=size)
        if hard
        else draw_scanner(rng, pixel_mm=pixel_mm, size=size)
    )
    bleeds = draw_bleeds(rng)
    history = draw_history(rng) if hard else NOTHING
    child = bool(rng.random() < CHILD_SHARE)
    bleeds = tuple(replace(bleed, core_hu=bleed.core_hu - _DIMMER.get(bleed.kind, 0.0)) for bleed in bleeds)
    if hard:
        bleeds = tuple(_hardened(rng, bleed) for bleed in bleeds)
    maker: HeadMaker = build_head
    if label_map is not None:
        maker = mapped(label_map)
    elif child:
        maker = partial(build_head, plan_of=draw_child_plan)
    apart = np.random.default_rng([seed, 21])
    match unseen:
        case Unseen.ACQUISITION:
            scanner = unseen_scanner(apart, scanner)
        case Unseen.BLOOD:
            bleeds = unseen_bleeds(apart, bleeds)
        case Unseen.TISSUE:
            maker = unseen_tissue(apart, maker)
    if not noise:
        scanner = replace(scanner, noise_hu=0.0)
    return render(
        seed, scanner, bleeds if bleeding else (), paint_mm=paint_mm, head_of=maker, history=history
    )  # fmt: skip


def _hardened(rng: np.random.Generator, bleed: Bleed) -> Bleed:
    return replace(drawn_age(rng, bleed), press=drawn_press(rng, bleed))


def draw_hard_scanner(rng: np.random.Generator, *, pixel_mm: float, size: int) -> Scanner:
    """Draw a scanner with slices of .6 to 8 mm and, now and then, each of the faults that real ones have."""
    scanner = draw_scanner(rng, pixel_mm=pixel_mm, size=size)
    chances = rng.random(7)
    if chances[0] < 0.3:
        thickness = float(rng.choice([0.6, 1.0, 1.25, 1.5, 2.0]))
        spacing = max(thickness, 150.0 / MOST_SLICES)
        noise = min(scanner.noise_hu * float(np.sqrt(3.0 / thickness)), 9.0)
        scanner = replace(
            scanner, thickness_mm=thickness, spacing_mm=spacing, slices=int(140.0 / spacing), noise_hu=noise
        )
    changes: dict[str, Any] = {"star_hu": float(rng.uniform(25, 70))}
    if chances[1] < 0.3:
        changes |= {"overshoot_share": float(rng.uniform(0.05, 0.3)), "overshoot_mm": float(rng.uniform(0.7, 1.4))}
    if chances[2] < 0.12:
        start = float(rng.uniform(0.0, 0.8))
        changes |= {
            "motion_share": float(rng.uniform(0.2, 0.5)),
            "motion_mm": float(rng.uniform(1.0, 6.0)),
            "motion_deg": float(rng.normal(0.0, 2.0)),
            "motion_part": (start, min(1.0, start + float(rng.uniform(0.05, 0.5)))),
        }
    if chances[3] < 0.2:
        changes["windmill_hu"] = float(rng.uniform(3.0, 12.0))
    if chances[4] < 0.15:
        changes["shift_mm"] = (float(rng.uniform(-35, 35)), float(rng.uniform(-35, 35)))
    if chances[5] < 0.3:
        changes["round_field"] = True
    if chances[6] < 0.1:
        changes["streak_hu"] = float(rng.uniform(12.0, 25.0))
    return replace(scanner, **changes)
