"""The step of `bleedwatch train` that comes after the slice network: an aggregator learned, and kept if it is worth having."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import Final

from appliance.core.aggregator import Aggregator
from appliance.evaluation.calibration import Calibration
from appliance.inference.loading import LoadedEngine
from appliance.phantoms.exam import HELD_OUT_SEED
from appliance.training.aggregator import FOLDS, learn, proven
from appliance.training.exam_lessons import Lessons, lessons
from appliance.training.opening import Opening
from appliance.training.plans import AggregatorPlan, Recipe
from appliance.training.progress import bar
from appliance.training.sources.exam import Tell

LESSON_SEED: Final = HELD_OUT_SEED * 3
JUDGE_SEED: Final = HELD_OUT_SEED * 4
"""Heads of its own to learn from, and others to be judged by: no slice was trained on either, nor calibrated on."""


def learned_aggregator(
    engine: LoadedEngine, recipe: Recipe, opening: Opening, rule: Calibration, work: Path, tell: Tell
) -> Aggregator | None:
    """An aggregator for this engine, whose slices `rule` calibrates; None where the recipe asks for none, or it brings
    no gain. What is scored is kept in `work` under the hash of the network.
    """
    plan = recipe.aggregator
    if plan is None:
        return None
    folder = work / f"scored-{sha256(engine.files.model).hexdigest()[:12]}"
    taught = _lessons(plan, recipe, opening, folder / "learn")
    judged = _judged(plan, recipe, opening, folder / "judge")
    with bar("scoring exams", taught.size + judged.size, "exams") as advance:
        exams = lessons(engine, taught, advance)
        held_out = lessons(engine, judged, advance)
    with bar("learning exams", FOLDS + 1, "rounds") as advance:
        found = learn(exams, rule, plan.epochs, recipe.seed, lambda: advance(1))
    return proven(found, held_out, rule, tell)


def _lessons(plan: AggregatorPlan, recipe: Recipe, opening: Opening, folder: Path) -> Lessons:
    return Lessons(
        sources=opening.trains,
        pastings=plan.pastings,
        mimic_share=_mimic_share(recipe),
        heads=plan.heads,
        first_seed=LESSON_SEED,
        seed=recipe.seed,
        folder=folder,
        without_mimics=_without_mimics(recipe),
    )


def _judged(plan: AggregatorPlan, recipe: Recipe, opening: Opening, folder: Path) -> Lessons:
    """Exams of patients whom nothing has met, and heads of their own."""
    return Lessons(
        sources=opening.held_out,
        pastings=plan.judged_pastings,
        mimic_share=_mimic_share(recipe),
        heads=plan.judged_heads,
        first_seed=JUDGE_SEED,
        seed=recipe.seed + 1,
        folder=folder,
        without_mimics=_without_mimics(recipe),
    )


def _mimic_share(recipe: Recipe) -> float:
    return next((plan.mimic_share for plan in recipe.of_kind("pasted")), 0.5)


def _without_mimics(recipe: Recipe) -> frozenset[str]:
    return frozenset(name for plan in recipe.of_kind("pasted") for name in plan.without_mimics)
