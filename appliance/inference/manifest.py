"""An engine folder, trusted by hash: every file is read once, and the bytes that were hashed are the bytes that load."""

import tomllib
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from appliance.core.engine import EngineCard, ExamRule, InputSpec, Points, Window
from appliance.core.errors import Fault
from appliance.core.words import LABELS

SCHEMA_VERSION: Final = 1
MANIFEST: Final = "manifest.toml"
MODEL: Final = "model.onnx"
GOLDEN: Final = "golden.npz"


class EngineRefused(Fault):
    """The folder does not hold an engine that may serve. The message says why and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputNames:
    """Names and shapes of an engine's outputs."""

    logits: str
    embedding: str
    heat: str
    embedding_size: int
    heat_shape: tuple[int, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineFiles:
    """A whole engine in memory: its card, and the bytes that its manifest vouches for."""

    card: EngineCard
    outputs: OutputNames
    tolerance_logit: float
    model: bytes
    golden: bytes


def read_engine(folder: Path) -> EngineFiles:
    """The engine of a folder. EngineRefused in words: missing, of another kind or version, or not what was installed."""
    text = _read(folder / MANIFEST)
    try:
        document = tomllib.loads(text.decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise EngineRefused("engine-changed", f"{folder / MANIFEST} is not TOML: {error}") from None
    _refuse_foreign(folder, document)
    try:
        card = _card(document, sha256(text).hexdigest())
        outputs = _outputs(document["outputs"])
        tolerance = float(document["golden"]["tolerance_logit"])
        hashes: dict[str, str] = document["files"]
        files = {name: _vouched(folder, name, hashes[name]) for name in (MODEL, GOLDEN)}
    except (KeyError, TypeError, ValueError) as error:
        said = f"{folder / MANIFEST} lacks or misstates {error}. Put the whole engine folder back"
        raise EngineRefused("engine-changed", said) from None
    return EngineFiles(card=card, outputs=outputs, tolerance_logit=tolerance, model=files[MODEL], golden=files[GOLDEN])


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        said = f"There is no engine: {path} cannot be read ({error.strerror}). Name an engine folder in the settings"
        raise EngineRefused("engine-fault", said) from None


def _vouched(folder: Path, name: str, expected: str) -> bytes:
    data = _read(folder / name)
    if sha256(data).hexdigest() != expected:
        said = f"{folder / name} is not the file that the manifest names: its hash differs. Put the engine folder back"
        raise EngineRefused("engine-changed", said)
    return data


def _refuse_foreign(folder: Path, document: dict[str, Any]) -> None:
    wanted = {"schema_version": SCHEMA_VERSION, "exam": "head_ct", "kind": "slice", "role": "reader"}
    for key, value in wanted.items():
        if document.get(key) != value:
            said = f"{folder / MANIFEST}: {key} is {document.get(key)!r}, this version serves {value!r} only"
            raise EngineRefused("engine-fault", said)
    if tuple(document.get("labels", ())) != LABELS:
        raise EngineRefused("engine-fault", f"{folder / MANIFEST}: labels must be {', '.join(LABELS)}, in this order")


def _card(document: dict[str, Any], manifest_sha256: str) -> EngineCard:
    taken = document["input"]
    batch, channels, rows, columns = taken["shape"]
    windows = tuple(Window(center=float(one["center"]), width=float(one["width"])) for one in taken["windows"])
    if batch != 1 or rows != columns or channels != len(windows):
        raise ValueError("input.shape, which must be [1, number of windows, size, size]")
    calibration = document["calibration"]
    scale, bias = tuple(map(float, calibration["scale"])), tuple(map(float, calibration["bias"]))
    if len(scale) != len(LABELS) or len(bias) != len(LABELS):
        raise ValueError("calibration, which needs a scale and a bias for each label")
    youngest, oldest = document["ages_years"]
    rule = document["exam_rule"]
    return EngineCard(
        name=str(document["name"]),
        version=str(document["version"]),
        sha256=manifest_sha256,
        ages_years=(float(youngest), float(oldest)),
        input=InputSpec(name=taken["name"], size=int(rows), spacing_mm=float(taken["spacing_mm"]), windows=windows),
        exam_rule=ExamRule(smoothing_mm=float(rule["smoothing_mm"]), sharpness=float(rule["sharpness"])),
        points=Points(**{name: float(document["points"][name]) for name in Points.__dataclass_fields__}),
        calibration_scale=scale,
        calibration_bias=bias,
    )


def _outputs(said: dict[str, Any]) -> OutputNames:
    labels, rows, columns = said["heat_shape"]
    return OutputNames(
        logits=said["logits"],
        embedding=said["embedding"],
        heat=said["heat"],
        embedding_size=int(said["embedding_size"]),
        heat_shape=(int(labels), int(rows), int(columns)),
    )
