"""From a trained network to an engine folder: model.onnx, golden.npz and manifest.toml."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray

from appliance.core.engine import InputSpec, Window
from appliance.inference.runtime import ort
from appliance.inference.windows import apply_windows
from appliance.training.calibrate import Calibration
from appliance.training.network import SliceNet

LABELS = ("any", "edh", "iph", "ivh", "sah", "sdh")
INPUT = InputSpec(
    name="image",
    size=224,
    spacing_mm=1.0,
    windows=(Window(center=40, width=80), Window(center=80, width=200), Window(center=600, width=2800)),
)
OPSET = 17
LOGIT_TOLERANCE = 0.02


def export_onnx(network: SliceNet, path: Path) -> None:
    """Write the network as FP32 ONNX of plain operators, batch 1; batch norms are folded by the exporter."""
    network = network.eval().cpu()
    torch.onnx.export(
        network,
        (torch.zeros(1, len(INPUT.windows), INPUT.size, INPUT.size),),
        str(path),
        input_names=[INPUT.name],
        output_names=["logits", "embedding", "heat"],
        opset_version=OPSET,
        do_constant_folding=True,
        dynamo=False,
    )
    model = onnx.load(str(path))
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


def write_golden(model: Path, golden: Path, crops: NDArray[np.int16]) -> None:
    """Keep head's boxes (int16 HU, n x 224 x 224) and the FP32 answers that the model gave on them."""
    session = ort.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    logits, heat = [], []
    for crop in crops:
        image = apply_windows(crop.astype(np.float32), INPUT)[None]
        answers = session.run(["logits", "heat"], {INPUT.name: image})
        logits.append(answers[0][0])
        heat.append(answers[1][0].sum(axis=(1, 2)))
    np.savez_compressed(
        golden,
        hu=crops,
        pixel_mm=np.float64(INPUT.spacing_mm),
        logits=np.array(logits, dtype=np.float32),
        heat_sums=np.array(heat, dtype=np.float32),
    )


def write_manifest(folder: Path, calibration: Calibration, version: str) -> None:
    """Write manifest.toml beside model.onnx and golden.npz, with their hashes."""
    c = calibration
    windows = ", ".join(f"{{ center = {w.center:g}, width = {w.width:g} }}" for w in INPUT.windows)
    hashes = "\n".join(
        f'"{name}" = "{hashlib.sha256((folder / name).read_bytes()).hexdigest()}"'
        for name in ("model.onnx", "golden.npz")
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
name = "{INPUT.name}"
shape = [1, {len(INPUT.windows)}, {INPUT.size}, {INPUT.size}]
spacing_mm = {INPUT.spacing_mm}
windows = [{windows}]

[outputs]
logits = "logits"
embedding = "embedding"
heat = "heat"
embedding_size = 64
heat_shape = [6, 56, 56]

# Per label, in the order of `labels`: p = sigmoid(scale * logit + bias).
[calibration]
scale = [{", ".join(f"{v:.4f}" for v in c.scale)}]
bias = [{", ".join(f"{v:.4f}" for v in c.bias)}]

# The exam's logit: log-sum-exp of this sharpness over slice logits smoothed along z.
[exam_rule]
smoothing_mm = {c.smoothing_mm:g}
sharpness = {c.sharpness:g}

# Calibrated probabilities of "any": of the exam (critical, review), of slices (early_*).
[points]
critical = {c.critical:.8f}
review = {c.review:.8f}
early_pair = {c.early_pair:.8f}
early_single = {c.early_single:.8f}
overlap = {c.overlap:g}
neighbour_mm = {c.neighbour_mm:g}

[golden]
tolerance_logit = {LOGIT_TOLERANCE}

[files]
{hashes}
"""
    (folder / "manifest.toml").write_text(text, encoding="utf-8")
