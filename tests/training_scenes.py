"""What tests of training share: small heads of phantoms as a cache and as a folder of pictures, and small recipes."""

import csv
from functools import cache
from pathlib import Path

import numpy as np

from appliance.core.words import LABELS
from appliance.phantoms.bleeds import Bleed
from appliance.phantoms.exam import PhantomExam, Scanner, render
from appliance.training.plans import Recipe
from appliance.training.recipe import read_recipe

SCANNER = Scanner(pixel_mm=1.0, size=224, slices=12, thickness_mm=5.0, spacing_mm=9.0, lowest_mm=-45.0, noise_hu=3.0)

BLEEDS = (
    (Bleed(kind="iph", volume_ml=25.0, core_hu=62.0),),
    (Bleed(kind="sdh", volume_ml=40.0, core_hu=60.0), Bleed(kind="ivh", volume_ml=12.0, core_hu=58.0)),
    (Bleed(kind="edh", volume_ml=30.0, core_hu=62.0),),
)

HEADS = """
[[source]]
name = "heads"
kind = "synthetic"
heads = 4
"""

PASTED = """
[network]
kind = "plain"
[[source]]
name = "ours"
kind = "pictures"
licence = "own"
attribution = "us"
folds = 3
hold_out = 1
[[source]]
name = "pasted"
kind = "pasted"
hosts = ["ours"]
exams = 12
[batch]
size = 6
real_bleeds = 1
pasted = 2
twins = 1
[schedule]
steps = 4
"""
"""Pictures with a fold held out, and bleeds pasted into the others."""


@cache
def small_head(seed: int) -> PhantomExam:
    """Twelve slices, 9 mm apart, 224 x 224 pixels of 1 mm; large bleeds."""
    return render(seed, SCANNER, BLEEDS[seed % len(BLEEDS)])


def write_pictures(folder: Path, exams: dict[str, PhantomExam], *, clean: bool = False, shift_hu: int = 0) -> None:
    """A manifest of the slices as HU pictures, each exam a patient of its own with a box about what bleeds."""
    folder.mkdir(parents=True)
    rows = []
    for name, exam in exams.items():
        for k, hu in enumerate(exam.clean_hu if clean else exam.hu):
            path = f"{name}-{k:02d}.npy"
            np.save(folder / path, hu + np.int16(shift_hu))
            labels = exam.labels[k] * (0 if clean else 1)
            r, c = np.nonzero(exam.lesions[k])
            box = f"{c.min()} {r.min()} {c.max()} {r.max()}" if labels[0] and r.size else ""
            rows.append([path, name, name, exam.positions_mm[k], "hu", exam.pixel_mm, *labels, box])
    with (folder / "rows.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["path", "patient", "stack", "z_mm", "window", "spacing_mm", *LABELS, "boxes"])
        table.writerows(rows)


def recipe_of(folder: Path, text: str) -> Recipe:
    """The recipe that a text is."""
    path = folder / "recipe.toml"
    path.write_text(text, encoding="utf-8")
    return read_recipe(path)


def plain_recipe(
    folder: Path, *, steps: int, batch: str = "size = 6\nsynthetic = 2\nsynthetic_twins = 1", more: str = ""
) -> Recipe:
    """A recipe of the plain network on synthetic heads."""
    text = f'[network]\nkind = "plain"\n{HEADS}[batch]\n{batch}\n[schedule]\nsteps = {steps}\n{more}'
    return recipe_of(folder, text)
