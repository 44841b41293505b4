"""An engine folder, trusted by hash: every file is read once, and the bytes that were hashed are the bytes that load."""

import tomllib
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Final

from appliance.core.engine import EngineCard, ExamRule, InputSpec, Points, TrainedOn, Window
from appliance.core.errors import Fault
from appliance.core.slices import HEAT_SIZE
from appliance.core.words import LABELS
from appliance.inference.aggregator_file import aggregator_of
from appliance.inference.manifest_table import BadManifest, Table
from appliance.inference.onnx_file import NotOnnx, look_at_onnx
from appliance.inference.reference import familiar_of

SCHEMA_VERSION: Final = 1
MANIFEST: Final = "manifest.toml"
MODEL: Final = "model.onnx"
GOLDEN: Final = "golden.npz"

PUT_BACK: Final = "Put the whole engine folder back as it was installed"
ASK_OWNER: Final = "Ask the model's owner for a mended engine"

_SIZE_MOST: Final = 1024
_OPSET_MOST: Final = 100
_PATIENTS_MOST: Final = 10**8
_SLICES_MOST: Final = 10**10


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
    trained_on: tuple[TrainedOn, ...]  # an engine that is trained further keeps what it owes


def read_engine(folder: Path) -> EngineFiles:
    """The engine of a folder.

    EngineRefused in words: `engine-changed` where a file is not the one that the manifest names, else `engine-fault`.
    """
    if not folder.is_dir():
        said = f"There is no engine folder {folder}. Name the folder that holds {MANIFEST} in the settings"
        raise EngineRefused("engine-fault", said)
    text = _read(folder / MANIFEST)
    try:
        document = tomllib.loads(text.decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise EngineRefused("engine-fault", f"{folder / MANIFEST} is not TOML: {error}. {PUT_BACK}") from None
    manifest = Table(document)
    try:
        _refuse_foreign(manifest)
        card = _card(manifest, sha256(text).hexdigest())
        outputs = _outputs(manifest.table("outputs"))
        opset = manifest.whole("opset", 1, _OPSET_MOST)
        tolerance = manifest.table("golden").above_zero("tolerance_logit")
        files = _vouched(folder, manifest.table("files"))
        card = replace(
            card,
            familiar=familiar_of(manifest, files, outputs.embedding_size),
            aggregator=aggregator_of(manifest, files, outputs.embedding_size),
        )
        trained_on = _trained_on(manifest)
    except BadManifest as error:
        raise EngineRefused("engine-fault", f"{folder / MANIFEST}: {error}. {ASK_OWNER}") from None
    _refuse_odd_model(folder / MODEL, files[MODEL], opset)
    return EngineFiles(
        card=card,
        outputs=outputs,
        tolerance_logit=tolerance,
        model=files[MODEL],
        golden=files[GOLDEN],
        trained_on=trained_on,
    )


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise EngineRefused("engine-fault", f"{path} cannot be read ({error.strerror}). {PUT_BACK}") from None


def _vouched(folder: Path, hashes: Table) -> dict[str, bytes]:
    """Every file that the manifest names, read once and held against its hash."""
    for name in (MODEL, GOLDEN):
        hashes.text(name)
    files: dict[str, bytes] = {}
    for name in hashes.values:
        if Path(name).name != name:
            raise BadManifest(f"{hashes.name} names {name!r:.80}, which does not lie in the folder itself")
        files[name] = _read(folder / name)
        if sha256(files[name]).hexdigest() != hashes.text(name):
            said = f"{folder / name} is not the file that the manifest names: its sha256 differs. {PUT_BACK}"
            raise EngineRefused("engine-changed", said)
    return files


def _refuse_odd_model(path: Path, model: bytes, opset: int) -> None:
    try:
        facts = look_at_onnx(model)
    except NotOnnx as error:
        raise EngineRefused("engine-fault", f"{path} is no ONNX model ({error}). {ASK_OWNER}") from None
    if facts.wants_other_files:
        said = f"{path} keeps weights in another file, which no hash vouches for. {ASK_OWNER}, in one file"
        raise EngineRefused("engine-fault", said)
    if facts.opset != opset:
        said = f"{path} is of opset {facts.opset}, its manifest says {opset}. {ASK_OWNER}"
        raise EngineRefused("engine-fault", said)


def _refuse_foreign(manifest: Table) -> None:
    manifest.must_be("schema_version", SCHEMA_VERSION)
    for key, wanted in {"exam": "head_ct", "kind": "slice", "role": "reader"}.items():
        manifest.must_be(key, wanted)
    manifest.must_be("labels", [str(label) for label in LABELS])


def _card(manifest: Table, manifest_sha256: str) -> EngineCard:
    youngest, oldest = manifest.numbers("ages_years", 2)
    if not 0 <= youngest < oldest:
        raise BadManifest("ages_years must be two ages, the lower first")
    calibration, rule = manifest.table("calibration"), manifest.table("exam_rule")
    scale = calibration.numbers("scale", len(LABELS))
    if min(scale) <= 0:
        raise BadManifest("calibration.scale must be above 0 for each label: a stronger logit is a higher probability")
    return EngineCard(
        name=manifest.text("name"),
        version=manifest.text("version"),
        sha256=manifest_sha256,
        ages_years=(youngest, oldest),
        input=_input(manifest.table("input")),
        exam_rule=ExamRule(smoothing_mm=rule.number("smoothing_mm", 0), sharpness=rule.above_zero("sharpness")),
        points=_points(manifest.table("points")),
        calibration_scale=scale,
        calibration_bias=calibration.numbers("bias", len(LABELS)),
    )


def _input(taken: Table) -> InputSpec:
    windows = tuple(
        Window(center=window.number("center"), width=window.above_zero("width")) for window in taken.tables("windows")
    )
    batch, channels, rows, columns = taken.wholes("shape", 4)
    if batch != 1 or rows != columns or rows > _SIZE_MOST or channels != len(windows):
        raise BadManifest(f"input.shape must be [1, {len(windows)} (a window each), size, size], size to {_SIZE_MOST}")
    return InputSpec(name=taken.text("name"), size=rows, spacing_mm=taken.above_zero("spacing_mm"), windows=windows)


def _points(said: Table) -> Points:
    """The operating points. A point of 1 is refused: no probability reaches it, and the engine would never speak."""
    chances = {name: said.number(name, 0, 1) for name in ("critical", "review", "early_pair", "early_single")}
    for name, chance in chances.items():
        if not 0 < chance < 1:
            raise BadManifest(f"points.{name} must lie between 0 and 1, it is {chance:g}")
    if chances["review"] > chances["critical"]:
        raise BadManifest("points.review must not lie above points.critical")
    if chances["early_pair"] > chances["early_single"]:
        raise BadManifest(
            "points.early_pair must not lie above points.early_single: one slice has to show more than two"
        )
    overlap = said.number("overlap", 0, 1)
    if overlap == 0:
        raise BadManifest("points.overlap must be above 0: two slices that agree on no place are no evidence")
    return Points(**chances, overlap=overlap, neighbour_mm=said.above_zero("neighbour_mm"))


def _outputs(said: Table) -> OutputNames:
    labels, rows, columns = said.wholes("heat_shape", 3)
    if (labels, rows, columns) != (len(LABELS), HEAT_SIZE, HEAT_SIZE):
        raise BadManifest(f"outputs.heat_shape must be [{len(LABELS)}, {HEAT_SIZE}, {HEAT_SIZE}]")
    logits, embedding, heat = (said.text(key) for key in ("logits", "embedding", "heat"))
    if len({logits, embedding, heat}) != 3:
        raise BadManifest("outputs must name three different outputs")
    return OutputNames(
        logits=logits,
        embedding=embedding,
        heat=heat,
        embedding_size=said.whole("embedding_size", 1, 4096),
        heat_shape=(labels, rows, columns),
    )


def _trained_on(manifest: Table) -> tuple[TrainedOn, ...]:
    """[[trained_on]]; an engine of drawn heads alone has none."""
    said = manifest.tables("trained_on") if "trained_on" in manifest.values else []
    return tuple(
        TrainedOn(
            name=one.text("name"),
            licence=one.text("licence"),
            attribution=one.text("attribution"),
            patients=one.whole("patients", 0, _PATIENTS_MOST),
            slices=one.whole("slices", 0, _SLICES_MOST),
        )
        for one in said
    )
