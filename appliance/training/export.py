"""From a trained network to an engine folder: model.onnx, golden.npz and manifest.toml."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray

from appliance.core.engine import InputSpec, TrainedOn
from appliance.core.slices import HEAT_SIZE
from appliance.core.words import LABELS
from appliance.evaluation.calibration import Calibration
from appliance.inference.aggregator_file import AGGREGATOR, aggregator_bytes
from appliance.inference.runtime import ort
from appliance.inference.windows import apply_windows
from appliance.training.folding import folded
from appliance.training.network import EMBEDDING_SIZE, SliceNetwork
from appliance.training.picture import INPUT
from appliance.training.sources.licences import manifest_tables

OPSET = 17
LOGIT_TOLERANCE = 0.02


def export_onnx(network: SliceNetwork, path: Path, spec: InputSpec = INPUT) -> None:
    """Write the network as FP32 ONNX of plain operators, batch 1, weights by their names: they can be read back."""
    torch.onnx.export(
        folded(network.cpu()),
        (torch.zeros(1, len(spec.windows), spec.size, spec.size),),
        str(path),
        input_names=[spec.name],
        output_names=["logits", "embedding", "heat"],
        opset_version=OPSET,
        do_constant_folding=True,
        dynamo=False,
    )
    model = onnx.load(str(path))
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


def write_golden(model: Path, golden: Path, crops: NDArray[np.int16], spec: InputSpec = INPUT) -> None:
    """Keep head's boxes (int16 HU, n x 224 x 224) and the FP32 answers that the model gave on them."""
    session = ort.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    logits, heat = [], []
    for crop in crops:
        image = apply_windows(crop.astype(np.float32), spec)[None]
        answers = session.run(["logits", "heat"], {spec.name: image})
        logits.append(answers[0][0])
        heat.append(answers[1][0].sum(axis=(1, 2)))
    np.savez_compressed(
        golden,
        hu=crops,
        pixel_mm=np.float64(spec.spacing_mm),
        logits=np.array(logits, dtype=np.float32),
        heat_sums=np.array(heat, dtype=np.float32),
    )


def write_manifest(
    folder: Path,
    calibration: Calibration,
    version: str,
    trained_on: Sequence[TrainedOn] = (),
    spec: InputSpec = INPUT,
) -> None:
    """Write manifest.toml beside model.onnx and golden.npz, with their hashes and what is owed for the weights."""
    c = calibration
    windows = ", ".join(f"{{ center = {w.center:g}, width = {w.width:g} }}" for w in spec.windows)
    hashes = "\n".join(
        f'"{name}" = "{hashlib.sha256((folder / name).read_bytes()).hexdigest()}"'
        for name in ("model.onnx", "golden.npz", *_write_aggregator(folder, c))
    )
    text = f"""\
schema_version = 1
name = "head-ct"
version = "{version}"
exam = "head_ct"
kind = "slice"
role = "reader"
ages_years = [18, 120]
opset = {OPSET}
labels = [{", ".join(f'"{label}"' for label in LABELS)}]

[input]
name = "{spec.name}"
shape = [1, {len(spec.windows)}, {spec.size}, {spec.size}]
spacing_mm = {spec.spacing_mm}
windows = [{windows}]

[outputs]
logits = "logits"
embedding = "embedding"
heat = "heat"
embedding_size = {EMBEDDING_SIZE}
heat_shape = [{len(LABELS)}, {HEAT_SIZE}, {HEAT_SIZE}]

# Per label, in the order of `labels`: p = sigmoid(scale * logit + bias).
[calibration]
scale = [{", ".join(repr(float(v)) for v in c.scale)}]
bias = [{", ".join(repr(float(v)) for v in c.bias)}]

# The exam's logit: log-sum-exp of this sharpness over slice logits smoothed along z.
[exam_rule]
smoothing_mm = {c.smoothing_mm:g}
sharpness = {c.sharpness:g}

# Calibrated probabilities of "any": of the exam (critical, review), of slices (early_*).
[points]
critical = {c.critical:.12g}
review = {c.review:.12g}
early_pair = {c.early_pair:.12g}
early_single = {c.early_single:.12g}
overlap = {c.overlap:g}
neighbour_mm = {c.neighbour_mm:g}

[golden]
tolerance_logit = {LOGIT_TOLERANCE}

[files]
{hashes}
"""
    (folder / "manifest.toml").write_text(text + _aggregator_table(c) + manifest_tables(trained_on), encoding="utf-8")


def _write_aggregator(folder: Path, calibration: Calibration) -> tuple[str, ...]:
    """Write the learned aggregator, or take away one of another engine. The names of the files that there are."""
    path = folder / AGGREGATOR
    if calibration.aggregator is None:
        path.unlink(missing_ok=True)
        return ()
    path.write_bytes(aggregator_bytes(calibration.aggregator))
    return (AGGREGATOR,)


def _aggregator_table(calibration: Calibration) -> str:
    if calibration.aggregator is None:
        return ""
    most = calibration.aggregator.correction_most
    return f"\n# Learned: in place of the exam rule, whose logits of slices it corrects by so much at most.\n[aggregator]\ncorrection_most = {most:g}\n"
