"""A phantom exam: a head seen by a scanner, slice by slice, with and without its bleeds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from appliance.phantoms.acquisition import Scanner, scan_grid, scan_noise, scanned, slabs_of, to_picture
from appliance.phantoms.bleed import Bleed
from appliance.phantoms.bleeds import KINDS, add_bleeds
from appliance.phantoms.faults import round_field
from appliance.phantoms.fields import Field, as_field
from appliance.phantoms.head import HeadMaker, build_head
from appliance.phantoms.history import NOTHING, History, live_through

__all__ = ["HELD_OUT_SEED", "PhantomExam", "Scanner", "draw_scanner", "render"]

HELD_OUT_SEED = 1_000_000
"""Seeds from here on are for demo, tests and golden answers; training refuses them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PhantomExam:
    """A series of slices from the lowest to the highest.

    `hu` int16 (n, H, W); `clean_hu` the same head and noise without the bleeds; `labels` int8 (n, 6) in the
    order any, edh, iph, ivh, sah, sdh; `lesions` uint8 (n, H, W), bit k set where KINDS[k] is seen;
    `faint` bool (n,): a bleed is there, but less than an eye could find.
    """

    hu: NDArray[np.int16]
    clean_hu: NDArray[np.int16]
    positions_mm: NDArray[np.float64]
    pixel_mm: float
    labels: NDArray[np.int8]
    faint: NDArray[np.bool_]
    lesions: NDArray[np.uint8]
    volumes_ml: dict[str, float]
    scanner: Scanner
    seed: int


def draw_scanner(rng: np.random.Generator, *, pixel_mm: float = 0.9, size: int = 272) -> Scanner:
    """Draw a scanner's geometry and its faults; many heads get a bright rim by bone, some none."""
    thickness = float(rng.choice([2.5, 3.0, 4.0, 5.0, 5.0, 5.0, 6.0, 7.0, 7.0, 8.0]))
    spacing = thickness * float(rng.choice([1.0, 1.0, 1.0, 1.05, 1.2]))
    rim = rng.random() < 0.75
    return Scanner(
        thickness_mm=thickness,
        spacing_mm=spacing,
        slices=int(np.ceil(rng.uniform(132, 152) / spacing)),
        pixel_mm=pixel_mm,
        size=size,
        tilt_deg=float(np.clip(rng.normal(0, 9), -22, 22)),
        yaw_deg=float(rng.normal(0, 4)),
        roll_deg=float(rng.normal(0, 3.5)),
        lowest_mm=float(rng.uniform(-78, -50)),
        shift_mm=(float(rng.normal(0, 5)), float(rng.normal(0, 5))),
        blur_mm=float(rng.uniform(0.5, 0.85)),
        tail_share=float(rng.uniform(0.02, 0.14)) if rim else 0.0,
        tail_mm=float(rng.uniform(1.4, 4.0)),
        cupping_hu=float(rng.uniform(-2, 11)),
        wide_cupping_hu=float(36.0 * rng.uniform(0, 1) ** 1.5),
        streak_hu=float(rng.uniform(0, 12)),
        noise_hu=float(rng.uniform(2.0, 5.0)),
        grain_mm=float(rng.uniform(0.5, 1.0)),
    )


def render(
    seed: int,
    scanner: Scanner,
    bleeds: tuple[Bleed, ...] = (),
    *,
    paint_mm: float | None = None,
    head_of: HeadMaker = build_head,
    history: History = NOTHING,
) -> PhantomExam:
    """Paint, cut and blur one exam.

    The head depends on `seed` alone, so that an exam and its twin without a bleed are the same head with the
    same noise. `paint_mm` is the in-plane step of painting; the picture is interpolated from it. `head_of` makes
    the head (`head.build_head`, `mapped_head.mapped`), `history` says what else has been done to it: an exam and its
    twin have both in common.
    """
    step = paint_mm or scanner.pixel_mm
    subs = min(max(2, round(scanner.thickness_mm / 1.7)), 5)
    scan, positions = scan_grid(scanner, step, subs)
    head = head_of((seed, 1), scan)
    if history != NOTHING:
        live_through(np.random.default_rng([seed, 4]), head, history)
    bled, shares = add_bleeds(np.random.default_rng([seed, 2]), head, bleeds)
    voxel_ml = step * step * scanner.spacing_mm / subs / 1000.0
    volumes = {KINDS[k]: float(share.sum()) * voxel_ml for k, share in shares.items()}
    clean = scanned(slabs_of(head.hu, subs), scanner, step)
    picture = scanned(slabs_of(bled, subs), scanner, step) if shares else clean
    covers = {k: to_picture(slabs_of(s, subs), scanner, step, smooth=False) for k, s in shares.items()}
    labels, faint, lesions = _labels(picture - clean, covers, scanner.pixel_mm)
    noise = scan_noise(np.random.default_rng([seed, 3]), clean.shape, scanner)
    finish = round_field if scanner.round_field else as_field
    return PhantomExam(
        hu=_whole(finish(picture + noise)),
        clean_hu=_whole(finish(clean + noise)),
        positions_mm=positions,
        pixel_mm=scanner.pixel_mm,
        labels=labels,
        faint=faint,
        lesions=lesions,
        volumes_ml=volumes,
        scanner=scanner,
        seed=seed,
    )


def _labels(
    change: Field, covers: dict[int, Field], pixel_mm: float
) -> tuple[NDArray[np.int8], NDArray[np.bool_], NDArray[np.uint8]]:
    """Call a bleed present in a slice only where it could be seen: an invisible one would teach noise."""
    n = change.shape[0]
    labels = np.zeros((n, 6), dtype=np.int8)
    faint = np.zeros(n, dtype=np.bool_)
    lesions = np.zeros(change.shape, dtype=np.uint8)
    for kind, cover in covers.items():
        seen = (cover > 0.25) & (change > 4.0)
        area = seen.sum(axis=(1, 2)) * pixel_mm**2
        strength = np.where(seen, change, 0.0).sum(axis=(1, 2)) * pixel_mm**2 / np.maximum(area, 1e-6)
        clear = (area >= 12.0) & (strength * np.sqrt(area) >= 60.0)
        labels[:, 1 + kind] = clear
        faint |= (cover.max(axis=(1, 2)) > 0.05) & ~clear
        lesions[seen & clear[:, None, None]] |= np.uint8(1 << kind)
    labels[:, 0] = labels[:, 1:].max(axis=1)
    return labels, faint & (labels[:, 0] == 0), lesions


def _whole(hu: Field) -> NDArray[np.int16]:
    return np.clip(np.rint(hu), -1024, 3071).astype(np.int16)
