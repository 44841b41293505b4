"""How an engine does on synthetic exams that trained nothing, beside a plain intensity threshold. Needs no torch.

python -m appliance.training.selfcheck engines/head-ct --exams 100
"""

from __future__ import annotations

import json
import sys
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
import onnxruntime
from numpy.typing import NDArray
from scipy import ndimage

from appliance.core.engine import InputSpec, Window
from appliance.core.exam_rule import exam_logits
from appliance.exams.head_ct.anatomy import find_anatomy
from appliance.phantoms.bleeds import draw_bleeds
from appliance.phantoms.exam import HELD_OUT_SEED, PhantomExam, draw_scanner, render
from appliance.reading.prepare import head_crop, prepare


@dataclass(frozen=True, slots=True, kw_only=True)
class ExamScore:
    """One synthetic exam, scored: calibrated exam logits [6], slice logits [n, 6], threshold score, truth."""

    seed: int
    exam: NDArray[np.float64]
    slices: NDArray[np.float64]
    heat: NDArray[np.float32]  # [n, 56, 56] probability of any
    positions_mm: NDArray[np.float64]
    threshold: float
    truth: NDArray[np.int8]  # [n, 6] labels of the slices
    volume_ml: float
    kinds: tuple[str, ...]


class Engine:
    """An engine folder opened for a check: manifest and ONNX session, one thread."""

    def __init__(self, folder: Path) -> None:
        manifest = tomllib.loads((folder / "manifest.toml").read_text(encoding="utf-8"))
        entry = manifest["input"]
        self.spec = InputSpec(
            name=entry["name"],
            size=entry["shape"][2],
            spacing_mm=entry["spacing_mm"],
            windows=tuple(Window(center=w["center"], width=w["width"]) for w in entry["windows"]),
        )
        self.scale = np.array(manifest["calibration"]["scale"])
        self.bias = np.array(manifest["calibration"]["bias"])
        self.rule = manifest["exam_rule"]
        self.points = manifest["points"]
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(
            str(folder / "model.onnx"), options, providers=["CPUExecutionProvider"]
        )

    def score(
        self, hu: NDArray[np.int16], pixel_mm: tuple[float, float]
    ) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
        """Return calibrated logits [6] and the heat map of any [56, 56] as probabilities, of one slice."""
        image = prepare(hu, pixel_mm, find_anatomy(hu, pixel_mm), self.spec)
        logits, heat = self._session.run(["logits", "heat"], {self.spec.name: image})
        return logits[0].astype(np.float64) * self.scale + self.bias, 1.0 / (1.0 + np.exp(-heat[0, 0]))

    def exam(self, slices: NDArray[np.float64], positions_mm: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the exam's logits [6] by the manifest's rule."""
        return exam_logits(slices, positions_mm, self.rule["smoothing_mm"], self.rule["sharpness"])


def held_out_exam(seed: int, *, bleeding: bool) -> PhantomExam:
    """Return an exam of a head and a scanner that trained nothing; raises ValueError for a seed of training."""
    if seed < HELD_OUT_SEED:
        raise ValueError(f"seed {seed} may have been trained on; held-out seeds start at {HELD_OUT_SEED}")
    rng = np.random.default_rng([seed, 7])
    scanner = draw_scanner(rng, pixel_mm=1.0, size=240)
    return render(seed, scanner, draw_bleeds(rng) if bleeding else ())


def threshold_score(exam: PhantomExam, spec: InputSpec) -> float:
    """Return the largest area (mm2) of 50-90 HU, smoothed, more than 4 mm from bone, in any slice."""
    largest = 0.0
    pixel = (exam.pixel_mm, exam.pixel_mm)
    for hu in exam.hu:
        anatomy = find_anatomy(hu, pixel)
        if not anatomy.has_brain_in_skull:
            continue
        crop = head_crop(hu, pixel, anatomy, spec)
        smooth = ndimage.gaussian_filter(crop, 1.0)
        bone = ndimage.binary_dilation(crop > 250.0, iterations=4)
        closed = ndimage.binary_fill_holes(ndimage.binary_closing(crop > 250.0, iterations=3))
        inside = ndimage.binary_erosion(closed, iterations=6)
        labels, count = ndimage.label((smooth > 50.0) & (smooth < 90.0) & inside & ~bone)
        if count:
            largest = max(largest, float(np.bincount(labels.ravel())[1:].max()))
    return largest


def check(
    folder: Path, exams: int, first_seed: int = HELD_OUT_SEED, done: Callable[[], None] = lambda: None
) -> list[ExamScore]:
    """Score `exams` held-out exams, every second one bleeding; heads are never shared between exams."""
    engine = Engine(folder)
    scores = []
    for seed in range(first_seed, first_seed + exams):
        exam = held_out_exam(seed, bleeding=seed % 2 == 0)
        pixel = (exam.pixel_mm, exam.pixel_mm)
        answers = [engine.score(hu, pixel) for hu in exam.hu]
        slices = np.array([logits for logits, _ in answers])
        scores.append(
            ExamScore(
                seed=seed,
                exam=engine.exam(slices, exam.positions_mm),
                slices=slices,
                heat=np.array([heat for _, heat in answers]),
                positions_mm=exam.positions_mm,
                threshold=threshold_score(exam, engine.spec),
                truth=exam.labels,
                volume_ml=sum(exam.volumes_ml.values()),
                kinds=tuple(exam.volumes_ml),
            )
        )
        done()
    return scores


def auc(scores: NDArray[np.float64], truth: NDArray[np.bool_]) -> float:
    """Return the area under the ROC curve: the chance that a positive scores above a negative, ties half."""
    positive, negative = scores[truth], scores[~truth]
    if positive.size == 0 or negative.size == 0:
        return float("nan")
    above = (positive[:, None] > negative[None, :]).mean()
    return float(above + 0.5 * (positive[:, None] == negative[None, :]).mean())


def figures(scores: list[ExamScore], critical: float, review: float) -> dict[str, float]:
    """Return AUCs and shares; an exam counts as bleeding when some slice shows a bleed that an eye could find."""
    truth = np.array([bool(s.truth[:, 0].any()) for s in scores])
    clear = np.array([t or s.volume_ml == 0.0 for t, s in zip(truth, scores, strict=True)])
    kept = [s for s, ok in zip(scores, clear, strict=True) if ok]
    truth = truth[clear]
    any_logit = np.array([s.exam[0] for s in kept])
    chance = 1.0 / (1.0 + np.exp(-any_logit))
    slice_logit = np.concatenate([s.slices[:, 0] for s in kept])
    slice_truth = np.concatenate([s.truth[:, 0] == 1 for s in kept])
    result = {
        "exams": float(len(kept)),
        "bleeding": float(truth.sum()),
        "exam_auc": auc(any_logit, truth),
        "threshold_auc": auc(np.array([s.threshold for s in kept]), truth),
        "slice_auc": auc(slice_logit, slice_truth),
        "sensitivity_critical": float((chance[truth] >= critical).mean()),
        "specificity_critical": float((chance[~truth] < critical).mean()),
        "sensitivity_review": float((chance[truth] >= review).mean()),
        "specificity_review": float((chance[~truth] < review).mean()),
    }
    for k, kind in enumerate(("edh", "iph", "ivh", "sah", "sdh")):
        kind_logit = np.concatenate([s.slices[:, k + 1] for s in kept])
        result[f"slice_auc_{kind}"] = auc(kind_logit, np.concatenate([s.truth[:, k + 1] == 1 for s in kept]))
    return result


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--exams", default=100, show_default=True, help="How many held-out exams, half of them bleeding.")
@click.option("--first-seed", default=HELD_OUT_SEED, show_default=True, help="Seed of the first exam.")
def main(folder: Path, exams: int, first_seed: int) -> None:
    """Score held-out synthetic exams with the engine in FOLDER and print its figures as JSON."""
    engine = Engine(folder)
    with click.progressbar(length=exams, label="exams", file=sys.stderr) as bar:
        scores = check(folder, exams, first_seed, lambda: bar.update(1))
    answer = figures(scores, engine.points["critical"], engine.points["review"])
    click.echo(json.dumps({"schema_version": 1, **{k: round(v, 4) for k, v in answer.items()}}, indent=2))


if __name__ == "__main__":
    main()
