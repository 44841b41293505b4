"""`bleedwatch train`: from a recipe to an engine folder, resumable at every stage."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from appliance.core.engine import TrainedOn
from appliance.core.errors import CannotStart
from appliance.evaluation.calibration import Calibration
from appliance.exams.head_ct.anatomy import find_anatomy
from appliance.inference.loading import load_engine
from appliance.inference.manifest import EngineFiles, read_engine
from appliance.phantoms.demo import demo_exam
from appliance.phantoms.exam import HELD_OUT_SEED
from appliance.reading.prepare import head_crop
from appliance.training.aggregator_step import learned_aggregator
from appliance.training.allocation import keep_large_blocks
from appliance.training.averaging import settle_batch_norm
from appliance.training.batches import Batches
from appliance.training.calibrate import NEUTRAL, fit_rule, points_of, set_points
from appliance.training.card import write_card
from appliance.training.curves import write_curves
from appliance.training.export import export_onnx, write_golden, write_manifest
from appliance.training.filling import Pools, fill, size_of
from appliance.training.folding import beside_of, network_of, second_of
from appliance.training.held_out import write_held_out
from appliance.training.loop import Trainer
from appliance.training.network import SliceNetwork
from appliance.training.networks import build_network
from appliance.training.opening import Opening, open_sources
from appliance.training.pair import Beside, PairNet, spec_of
from appliance.training.picture import INPUT
from appliance.training.plans import PIXEL_KINDS, Recipe
from appliance.training.progress import bar
from appliance.training.recipe import BadRecipe, read_recipe
from appliance.training.rounds import Rounds
from appliance.training.same_data import refuse_other_data
from appliance.training.selfcheck import check, score_source_exam
from appliance.training.sources.licences import IMAGENET, owed
from appliance.training.stopping import Stopper, patients_left_out

CALIBRATION_SEED = HELD_OUT_SEED * 2
"""Calibration has heads of its own: neither trained on, nor those that the figures of the card are from."""

GOLDEN_SEED = HELD_OUT_SEED + 500_000
SETTLING_SLICES = 1000
SETTLING_SHARE = 0.1
"""Batch norms settle on so many slices, and on no more than this share of what was trained on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What was asked for. `places`: where the sources of the recipe lie, by name; `start`: an engine to train further;
    `beside`: one whose network answers too, and learns nothing. Of a pair that is trained further the second stays.

    Cache and checkpoint lie in `work` (`out`/work when None); a run that was cut off goes on from them.
    """

    recipe: Path
    out: Path
    work: Path | None = None
    version: str = "0.1.0"
    start: Path | None = None
    beside: Path | None = None
    places: Mapping[str, Path] = field(default_factory=dict)


def train(wish: Wish) -> None:
    """Train by a recipe and write the engine. Raises CannotStart in words."""
    try:
        recipe = read_recipe(wish.recipe)
    except BadRecipe as bad:
        raise CannotStart(str(bad)) from None
    start = read_engine(wish.start) if wish.start else None
    work = wish.work or wish.out / "work"
    keep_large_blocks()
    torch.set_num_threads(recipe.schedule.threads)
    torch.manual_seed(recipe.seed)
    network = _first_network(recipe, start, wish)
    beside = _network_beside(start, wish)
    opening = open_sources(recipe, wish.places, _tell)
    work.mkdir(parents=True, exist_ok=True, mode=0o700)  # it will hold pictures of patients
    refuse_other_data(work, opening)
    with bar("preparing slices", size_of(recipe, opening.trains), "exams") as made:
        pools = fill(recipe, opening, work / "cache", made, _tell)
    trained = _trained(network, pools, recipe, wish.places, work, is_started=_is_started(recipe, start))
    write_held_out(recipe, opening, wish.places, work)
    before = (*(start.trained_on if start else ()), *(beside.trained_on if beside else ()))
    trained_on = owed(before, _owed_now(recipe, pools, opening, is_fresh=start is None))
    finish(trained, recipe, opening, wish, trained_on, beside)
    write_curves(work / "log.jsonl", wish.out / "curves.csv")
    if wish.recipe.resolve() != (wish.out / "recipe.toml").resolve():
        shutil.copyfile(wish.recipe, wish.out / "recipe.toml")


def finish(
    network: SliceNetwork,
    recipe: Recipe,
    opening: Opening,
    wish: Wish,
    trained_on: tuple[TrainedOn, ...] = (),
    beside: Beside | None = None,
) -> Calibration:
    """Export a network, with the one beside it, calibrate it on exams that trained nothing, and write the engine folder."""
    out = wish.out
    out.mkdir(parents=True, exist_ok=True)
    spec = spec_of(beside)
    export_onnx(PairNet(network, beside) if beside else network, out / "model.onnx", spec)
    write_golden(out / "model.onnx", out / "golden.npz", golden_crops(), spec)
    write_manifest(out, NEUTRAL, wish.version, trained_on, spec)
    plan, held_out = recipe.calibration, list(opening.held_out.values())
    with bar("calibrating", plan.exams + sum(source.size for source in held_out), "exams") as advance:
        scores = check(out, plan.exams, CALIBRATION_SEED, lambda: advance(1))
        engine = load_engine(out)
        for source in held_out:
            for exam in source.exams():
                scores.append(score_source_exam(engine, exam))
                advance(1)
    rule = fit_rule(scores)
    aggregator = learned_aggregator(engine, recipe, opening, rule, wish.work or out / "work", _tell)
    calibration = set_points(scores, replace(rule, aggregator=aggregator), plan.least_critical, plan.least_review)
    write_manifest(out, calibration, wish.version, trained_on, spec)
    if not write_card(out / "MODEL_CARD.md", trained_on, points_of(scores, calibration)):
        _tell("MODEL_CARD.md is left as it is. It must name what the engine was trained on: see manifest.toml.")
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


def _first_network(recipe: Recipe, start: EngineFiles | None, wish: Wish) -> SliceNetwork:
    if start is None:
        return build_network(recipe.network)
    return network_of(start, recipe.network.kind, f"The engine in {wish.start}")


def _network_beside(start: EngineFiles | None, wish: Wish) -> Beside | None:
    """The network that answers too: the one that was named, else the second of a pair that is trained further."""
    if wish.beside is not None:
        return beside_of(read_engine(wish.beside), f"The engine in {wish.beside}")
    return second_of(start, f"The engine in {wish.start}") if start else None


def _is_started(recipe: Recipe, start: EngineFiles | None) -> bool:
    return start is not None or recipe.network.start == "imagenet"


def _trained(
    network: SliceNetwork, pools: Pools, recipe: Recipe, places: Mapping[str, Path], work: Path, *, is_started: bool
) -> SliceNetwork:
    left_out = patients_left_out(pools, recipe)
    batches = Batches(pools, recipe, left_out)
    stopper = Stopper(pools, left_out, recipe.stop, recipe.seed) if recipe.stop else None
    rounds = Rounds(recipe, places, work / "cache")
    trainer = Trainer(network, batches, recipe, work, rounds=rounds, stopper=stopper, is_started=is_started)
    try:
        with bar("training", recipe.schedule.steps, "steps") as advance:
            advance(trainer.step)
            trained = trainer.run(lambda step, loss: advance(1, f"loss {loss:.3f}"))
    finally:
        rounds.close()
    settle_batch_norm(trained, _settling(batches, recipe))
    return trained


def _settling(batches: Batches, recipe: Recipe) -> Iterator[Tensor]:
    """Pictures like those of the last steps, that no step has met."""
    last = recipe.schedule.steps
    count = min(SETTLING_SLICES // recipe.batch.size, round(SETTLING_SHARE * last))
    for number in range(last, last + max(1, count)):
        yield batches.at(number).image


def _owed_now(recipe: Recipe, pools: Pools, opening: Opening, *, is_fresh: bool) -> list[TrainedOn]:
    """What this run owes. A network that went on from an engine did not start from ImageNet's weights now."""
    found = [IMAGENET] if is_fresh and recipe.network.start == "imagenet" else []
    for number, plan in enumerate(recipe.of_kind(*PIXEL_KINDS)):
        of_it = pools.real.part == number
        found.append(
            TrainedOn(
                name=plan.name,
                licence=plan.licence,
                attribution=plan.attribution,
                patients=int(np.unique(pools.real.patient[of_it]).size),
                slices=int(np.count_nonzero(of_it)),
            )
        )
    for plan in recipe.of_kind("mapped"):
        people = len(opening.maps[plan.name])  # a map is of one person; no slice of theirs is in it
        found.append(
            TrainedOn(name=plan.name, licence=plan.licence, attribution=plan.attribution, patients=people, slices=0)
        )
    return found


def _tell(said: str) -> None:
    sys.stderr.write(f"{said}\n")
