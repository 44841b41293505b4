"""A network as an engine folder, not calibrated. Needs the training extra."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from appliance.core.engine import InputSpec, TrainedOn
from appliance.training.calibrate import NEUTRAL
from appliance.training.export import export_onnx, write_golden, write_manifest
from appliance.training.network import SliceNetwork
from appliance.training.picture import INPUT


def write_engine(
    network: SliceNetwork, folder: Path, spec: InputSpec = INPUT, trained_on: Sequence[TrainedOn] = ()
) -> Path:
    """Write it, with one empty golden picture. Return the folder, which must not be there yet."""
    folder.mkdir()
    export_onnx(network, folder / "model.onnx", spec)
    write_golden(folder / "model.onnx", folder / "golden.npz", np.zeros((1, spec.size, spec.size), np.int16), spec)
    write_manifest(folder, NEUTRAL, "0.0.1", trained_on, spec)
    return folder
