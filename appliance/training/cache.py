"""Rendered heads on disk: made once, read many times, one file a head."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from appliance.core.engine import InputSpec
from appliance.exams.head_ct.anatomy import find_anatomy
from appliance.phantoms.bleeds import draw_bleeds
from appliance.phantoms.exam import HELD_OUT_SEED, PhantomExam, draw_scanner, render
from appliance.reading.prepare import head_crop

RENDER_MM = 1.0
RENDER_SIZE = 240


class HeldOutSeed(ValueError):
    """A seed kept for demo, tests and golden answers was asked for in training."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slices:
    """Slices of many heads, cropped as the engine sees them.

    `hu` int16 [n, 224, 224]; `lesions` uint8 [n, 56, 56, 5] share of each cell that bleeds, 0..255; `labels` int8
    [n, 6]; `faint` bool [n]: bleeds less than an eye could see, not used; `twin` int64 [n]: the index of the
    same slice without its bleed, or of itself.
    """

    hu: NDArray[np.int16]
    lesions: NDArray[np.uint8]
    labels: NDArray[np.int8]
    faint: NDArray[np.bool_]
    twin: NDArray[np.int64]


def make_cache(folder: Path, seeds: range, spec: InputSpec, made: Callable[[], None]) -> None:
    """Render the heads of `seeds` into `folder`, those that are not there yet; call `made` after each.

    Raises HeldOutSeed for a seed of HELD_OUT_SEED or more.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for seed in seeds:
        if seed >= HELD_OUT_SEED:
            raise HeldOutSeed(f"seed {seed} is held out; training takes seeds below {HELD_OUT_SEED}")
        path = folder / f"head-{seed:06d}.npz"
        if not path.exists():
            rng = np.random.default_rng([seed, 7])
            # Noise is made afresh whenever a slice is used.
            scanner = replace(draw_scanner(rng, pixel_mm=RENDER_MM, size=RENDER_SIZE), noise_hu=0.0)
            exam = render(seed, scanner, draw_bleeds(rng))
            part = path.with_suffix(".part")
            with part.open("wb") as file:
                np.savez(file, allow_pickle=False, **_crops(exam, spec))
            part.rename(path)
        made()


def read_cache(folder: Path, seeds: range) -> Slices:
    """Read what stands in the cache of the wanted heads."""
    hu, lesions, labels, faint, twin = [], [], [], [], []
    start = 0
    for seed in seeds:
        path = folder / f"head-{seed:06d}.npz"
        if not path.exists():
            continue
        with np.load(path) as data:
            hu.append(data["hu"])
            lesions.append(data["lesions"])
            labels.append(data["labels"])
            faint.append(data["faint"])
            twin.append(data["twin"] + start)
            start += data["hu"].shape[0]
    if not hu:
        raise FileNotFoundError(f"no rendered heads of {seeds} in {folder}")
    return Slices(
        hu=np.concatenate(hu),
        lesions=np.concatenate(lesions),
        labels=np.concatenate(labels),
        faint=np.concatenate(faint),
        twin=np.concatenate(twin),
    )


def _crops(exam: PhantomExam, spec: InputSpec) -> dict[str, NDArray[np.generic]]:
    """Return every clean slice, then every slice that shows blood, noise-free and cropped by the reading's own rule."""
    pixel = (exam.pixel_mm, exam.pixel_mm)
    clean, bled, shares = [], [], []
    shown = np.flatnonzero((exam.labels[:, 0] == 1) | exam.faint)
    for k in range(exam.labels.shape[0]):
        anatomy = find_anatomy(exam.clean_hu[k], pixel)
        clean.append(head_crop(exam.clean_hu[k], pixel, anatomy, spec))
        if k in shown:
            anatomy = find_anatomy(exam.hu[k], pixel)
            bled.append(head_crop(exam.hu[k], pixel, anatomy, spec))
            shares.append(_cell_shares(exam.lesions[k], pixel, anatomy.centre_rc, spec))
    count = len(clean)
    labels = np.zeros((count + len(bled), 6), dtype=np.int8)
    labels[count:] = exam.labels[shown]
    lesions = np.zeros((count + len(bled), 56, 56, 5), dtype=np.uint8)
    if shares:
        lesions[count:] = np.stack(shares)
    return {
        "hu": np.rint(np.stack(clean + bled)).astype(np.int16),
        "lesions": lesions,
        "labels": labels,
        "faint": np.concatenate([np.zeros(count, dtype=np.bool_), exam.faint[shown]]),
        "twin": np.concatenate([np.arange(count), shown]),
    }


def _cell_shares(
    lesions: NDArray[np.uint8], pixel_mm: tuple[float, float], centre: tuple[float, float], spec: InputSpec
) -> NDArray[np.uint8]:
    start = [round(c - (spec.size - 1) / 2) for c in centre]  # the cache renders at the engine's own spacing
    bits = np.zeros((spec.size, spec.size), dtype=np.uint8)
    rows, columns = lesions.shape
    r0, c0 = max(start[0], 0), max(start[1], 0)
    r1, c1 = min(start[0] + spec.size, rows), min(start[1] + spec.size, columns)
    bits[r0 - start[0] : r1 - start[0], c0 - start[1] : c1 - start[1]] = lesions[r0:r1, c0:c1]
    planes = np.stack([(bits >> kind) & 1 for kind in range(5)], axis=-1).astype(np.float32)
    cells = planes.reshape(56, 4, 56, 4, 5).mean(axis=(1, 3))
    return np.asarray(np.rint(cells * 255.0), dtype=np.uint8)
