"""`bleedwatch train`: from a recipe to an engine folder, resumable at every stage."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from appliance.exams.head_ct.anatomy import find_anatomy
from appliance.phantoms.demo import demo_exam
from appliance.phantoms.exam import HELD_OUT_SEED
from appliance.reading.prepare import head_crop
from appliance.training.cache import make_cache, read_cache
from appliance.training.calibrate import NEUTRAL, Calibration, calibrate
from appliance.training.export import INPUT, export_onnx, write_golden, write_manifest
from appliance.training.loop import train_network
from appliance.training.network import SliceNet
from appliance.training.recipe import Recipe, read_recipe
from appliance.training.selfcheck import Exams, check, held_out_exam

CALIBRATION_SEED = HELD_OUT_SEED * 2
"""Calibration has heads of its own: neither trained on, nor those that the figures of the card are from."""

GOLDEN_SEED = HELD_OUT_SEED + 500_000


def train(recipe: Path, out: Path, *, work: Path | None = None, version: str = "0.1.0") -> None:
    """Train by a recipe and write the engine into `out`.

    Rendered heads and the checkpoint lie in `work` (`out`/work when None); a run that was cut off goes on from
    them. Raises BadRecipe in words.
    """
    plan = read_recipe(recipe)
    work = work or out / "work"
    work.mkdir(parents=True, exist_ok=True)
    seeds = range(plan.first_seed, plan.first_seed + plan.heads)
    with _bar("rendering heads", plan.heads, "heads") as advance:
        make_cache(work / "heads", seeds, INPUT, advance)
    slices = read_cache(work / "heads", seeds)
    with _bar("training", plan.steps, "steps") as advance:
        seen = 0

        def done(step: int, loss: float) -> None:
            nonlocal seen
            for _ in range(step - seen):  # after a break the first call stands for all that went before
                advance()
            seen = step

        network = train_network(slices, plan, INPUT, work / "checkpoint.pt", done)
    finish(network, plan, out, version=version)
    if recipe.resolve() != (out / "recipe.toml").resolve():
        shutil.copyfile(recipe, out / "recipe.toml")


def finish(network: SliceNet, plan: Recipe, out: Path, *, version: str, make: Exams = held_out_exam) -> Calibration:
    """Export a network, calibrate it on held-out exams, and write model.onnx, golden.npz and manifest.toml."""
    out.mkdir(parents=True, exist_ok=True)
    export_onnx(network, out / "model.onnx")
    write_golden(out / "model.onnx", out / "golden.npz", golden_crops())
    write_manifest(out, NEUTRAL, version)
    with _bar("calibrating", plan.calibration_exams, "exams") as advance:
        scores = check(out, plan.calibration_exams, CALIBRATION_SEED, advance, make)
    calibration = calibrate(scores, plan.least_critical, plan.least_review)
    write_manifest(out, calibration, version)
    return calibration


def golden_crops() -> NDArray[np.int16]:
    """Return six head's boxes (int16 HU, 224 x 224) of two held-out heads, one of them bleeding."""
    crops = []
    for seed, bleeding in ((GOLDEN_SEED, True), (GOLDEN_SEED + 1, False)):
        exam = demo_exam(seed, bleeding=bleeding)
        pixel = (exam.pixel_mm, exam.pixel_mm)
        shown = np.flatnonzero(exam.labels[:, 0]) if bleeding else np.arange(8, 24)
        for k in shown[np.linspace(0, shown.size - 1, 3).round().astype(int)]:
            crop = head_crop(exam.hu[k], pixel, find_anatomy(exam.hu[k], pixel), INPUT)
            crops.append(np.rint(crop).astype(np.int16))
    return np.stack(crops)


@contextmanager
def _bar(title: str, total: int, unit: str) -> Iterator[_Advance]:
    console = Console(file=sys.stderr)
    columns = (
        TextColumn(f"{title:18}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as progress:
        yield _Advance(progress, total, unit)


class _Advance:
    """Moves a bar on by one and keeps its rate."""

    def __init__(self, progress: Progress, total: int, unit: str) -> None:
        self._progress = progress
        self._unit = unit
        self._task = progress.add_task("", total=total, rate="")

    def __call__(self) -> None:
        self._progress.advance(self._task)
        speed = self._progress.tasks[0].speed
        rate = f"{speed:.1f} {self._unit}/s" if speed else ""
        self._progress.update(self._task, rate=rate)
