"""A training recipe: one TOML file, read whole, refused with all its faults at once."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, fields
from pathlib import Path

from appliance.phantoms.exam import HELD_OUT_SEED


class BadRecipe(ValueError):
    """The recipe cannot be used; the message lists every fault."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What a training run does. Seeds are of heads: `first_seed` up to, not with, `first_seed + heads`."""

    heads: int
    first_seed: int = 0
    seed: int = 0
    steps: int = 4000
    batch: int = 24
    learning_rate: float = 2e-3
    weight_decay: float = 0.02
    average: float = 0.998  # EMA
    map_weight: float = 1.0
    positive_share: float = 0.4
    twin_share: float = 0.25
    threads: int = 1
    checkpoint_steps: int = 200
    calibration_exams: int = 120
    least_critical: float = 0.9  # the points never fall below these exam probabilities
    least_review: float = 0.5


def read_recipe(path: Path) -> Recipe:
    """Read a recipe. Raises BadRecipe in words, with every fault."""
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadRecipe(f"{path.name}: cannot be read: {error}") from error
    known = {field.name: field for field in fields(Recipe)}
    faults = [f"unknown entry '{name}'" for name in values if name not in known]
    for name, value in values.items():
        wants_whole = name in known and known[name].type == "int"
        if name in known and (isinstance(value, bool) or not isinstance(value, int if wants_whole else (int, float))):
            faults.append(f"'{name}' must be a {'whole ' if wants_whole else ''}number")
    if "heads" not in values:
        faults.append("'heads' is missing")
    if not faults:
        faults = _range_faults(Recipe(**values))
    if faults:
        raise BadRecipe(f"{path.name}: " + "; ".join(faults))
    return Recipe(**values)


def _range_faults(r: Recipe) -> list[str]:
    checks = [
        (r.heads >= 2, "'heads' must be at least 2"),
        (r.first_seed >= 0, "'first_seed' must not be negative"),
        (
            r.first_seed + r.heads <= HELD_OUT_SEED,
            f"seeds of {HELD_OUT_SEED} and more are held out and never trained on",
        ),
        (r.steps >= 1, "'steps' must be at least 1"),
        (r.batch >= 4, "'batch' must be at least 4"),
        (r.learning_rate > 0, "'learning_rate' must be above 0"),
        (0 <= r.average < 1, "'average' must lie between 0 and 1"),
        (r.positive_share > 0, "'positive_share' must be above 0"),
        (0 <= r.twin_share <= 1 - r.positive_share, "'positive_share' and 'twin_share' must leave room for others"),
        (r.threads >= 1, "'threads' must be at least 1"),
        (r.calibration_exams >= 4, "'calibration_exams' must be at least 4"),
        (0 < r.least_review < r.least_critical < 1, "'least_review' must lie below 'least_critical', both in 0 to 1"),
        (r.checkpoint_steps >= 1, "'checkpoint_steps' must be at least 1"),
    ]
    return [words for holds, words in checks if not holds]
