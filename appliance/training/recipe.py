"""Reading a training recipe: one TOML file of tables, read whole, refused with all its faults at once."""

from __future__ import annotations

import tomllib
from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import Any

from appliance.phantoms.exam import HELD_OUT_SEED
from appliance.training.plans import (
    HEAD_KINDS,
    KEYS_OF_KIND,
    NEEDED_OF_KIND,
    PIXEL_KINDS,
    AggregatorPlan,
    BatchPlan,
    CalibrationPlan,
    NetworkPlan,
    Recipe,
    SchedulePlan,
    SourcePlan,
    StopPlan,
)


class BadRecipe(ValueError):
    """The recipe cannot be used; the message lists every fault."""


_TABLES: dict[str, type] = {
    "network": NetworkPlan,
    "batch": BatchPlan,
    "schedule": SchedulePlan,
    "stop": StopPlan,
    "calibration": CalibrationPlan,
    "aggregator": AggregatorPlan,
}


def read_recipe(path: Path) -> Recipe:
    """Read a recipe. Raises BadRecipe in words, with every fault."""
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadRecipe(f"{path.name}: cannot be read: {error}") from error
    faults: list[str] = []
    known = {"seed", "source", *_TABLES}
    faults += [f"unknown entry '{name}'" for name in values if name not in known]
    seed = values.get("seed", 0)
    if not _is_whole(seed) or seed < 0:
        faults.append("'seed' must be a whole number from 0")
    made = {name: _table(kind, values.get(name, {}), name, faults) for name, kind in _TABLES.items()}
    sources = _sources(values.get("source", []), faults)
    if not faults:
        recipe = Recipe(
            seed=seed,
            network=made["network"],
            sources=sources,
            batch=made["batch"],
            schedule=made["schedule"],
            calibration=made["calibration"],
            stop=made["stop"] if "stop" in values else None,
            aggregator=made["aggregator"] if "aggregator" in values else None,
        )
        faults = _faults_between(recipe)
    if faults:
        raise BadRecipe(f"{path.name}: " + "; ".join(faults))
    return recipe


def _table(kind: type, values: Any, name: str, faults: list[str]) -> Any:
    """The table as its type; None where it has faults, which are added to `faults`."""
    if not isinstance(values, dict):
        faults.append(f"'{name}' must be a table")
        return None
    known = {one.name: one for one in fields(kind)}
    found = [f"unknown entry '{name}.{key}'" for key in values if key not in known]
    found += [f"'{name}.{key}' {said}" for key in values if key in known and (said := _fault(known[key], values[key]))]
    found += [f"'{name}.{key}' is missing" for key, one in known.items() if key not in values and _is_needed(one)]
    faults += found
    if found:
        return None
    return kind(**{key: tuple(value) if isinstance(value, list) else value for key, value in values.items()})


def _is_needed(one: Field[Any]) -> bool:
    return one.default is MISSING and one.default_factory is MISSING


def _plain(value: float) -> str:
    """A number as people write it: 10000000, 0.000001."""
    return f"{value:.7f}".rstrip("0").rstrip(".")


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _fault(one: Field[Any], value: Any) -> str:
    """Why a value cannot be that of a field, in words; empty where it can."""
    if one.type in ("int", "float"):
        least, most = one.metadata["least"], one.metadata["most"]
        whole = one.type == "int"
        if not (_is_whole(value) or (not whole and isinstance(value, float))):
            return f"must be a {'whole ' if whole else ''}number"
        return "" if least <= value <= most else f"must lie from {_plain(least)} to {_plain(most)}"
    if one.type == "bool":
        return "" if isinstance(value, bool) else "must be true or false"
    words = one.metadata.get("words")
    if one.type == "str":
        if words and value not in words:
            return "must be one of " + ", ".join(words)
        return "" if isinstance(value, str) and value.strip() else "must be a text"
    is_names = isinstance(value, list) and value and all(isinstance(name, str) for name in value)
    if is_names and words and not set(value) <= set(words):
        return "must be a list of some of " + ", ".join(words)
    return "" if is_names else "must be a list of names"


def _sources(values: Any, faults: list[str]) -> tuple[SourcePlan, ...]:
    if not isinstance(values, list) or not values:
        faults.append("no [[source]] is named")
        return ()
    found = []
    for number, one in enumerate(values, start=1):
        name = str(one.get("name", number)) if isinstance(one, dict) else str(number)
        source = _table(SourcePlan, one, f"source {name}", faults)
        if source is not None:
            faults += _source_faults(source, set(one))
            found.append(source)
    names = [source.name for source in found]
    faults += [f"two sources are named '{name}'" for name in sorted({n for n in names if names.count(n) > 1})]
    return tuple(found)


def _source_faults(source: SourcePlan, said: set[str]) -> list[str]:
    taken = {"name", "kind", *KEYS_OF_KIND[source.kind]}
    called = f"source {source.name}"
    faults = [f"'{called}.{key}' is nothing that a source of kind {source.kind} takes" for key in sorted(said - taken)]
    faults += [f"'{called}.{key}' is missing" for key in NEEDED_OF_KIND[source.kind] if key not in said]
    if source.kind in HEAD_KINDS and source.first_seed + source.heads > HELD_OUT_SEED:
        faults.append(f"seeds of {HELD_OUT_SEED} and more are held out and never trained on")
    if "hold_out" in said and source.hold_out >= source.folds:
        faults.append(f"'{called}.hold_out' must be the number of one of its folds, counted from 0")
    return faults


def _faults_between(r: Recipe) -> list[str]:
    """What fits no two of its tables together."""
    real = {source.name for source in r.of_kind(*PIXEL_KINDS)}
    strangers = sorted({host for source in r.of_kind("pasted") for host in source.hosts if host not in real})
    checks = [
        (not strangers, f"hosts that are no source of {', '.join(PIXEL_KINDS)}: {', '.join(strangers)}"),
        (r.batch.others >= 0, "'batch': its parts are more than its size"),
        (r.batch.twins <= r.batch.pasted, "'batch.twins' must not be above 'batch.pasted'"),
        (r.batch.synthetic_twins <= r.batch.synthetic, "'batch.synthetic_twins' must not be above 'batch.synthetic'"),
        (
            r.batch.real_bleeds + r.batch.pasted + r.batch.synthetic > 0,
            "'batch' has no place for a bleed: real_bleeds, pasted or synthetic",
        ),
        (not r.batch.real_bleeds or bool(real), "'batch.real_bleeds' asks for a source of real exams"),
        (bool(r.batch.pasted) == bool(r.of_kind("pasted")), "'batch.pasted' and a source of kind pasted go together"),
        (
            not r.batch.synthetic or bool(r.of_kind(*HEAD_KINDS)),
            "'batch.synthetic' asks for a source of kind " + " or ".join(HEAD_KINDS),
        ),
        (len(r.of_kind("pasted")) <= 1, "there may be one source of kind pasted"),
        (r.schedule.small_px % 32 == 0, "'schedule.small_px' must be a multiple of 32"),
        (
            r.calibration.least_review < r.calibration.least_critical,
            "'calibration.least_review' must lie below 'calibration.least_critical'",
        ),
        (r.network.kind == "lite0" or r.network.start == "random", "only lite0 can start from imagenet"),
    ]
    return [words for holds, words in checks if not holds]
