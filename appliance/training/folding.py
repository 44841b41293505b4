"""Batch norms folded into their convolutions: what an engine file holds, and what a network read back from one is."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from appliance.core.errors import CannotStart
from appliance.inference.manifest import EngineFiles
from appliance.training.network import SliceNetwork
from appliance.training.networks import build_network
from appliance.training.picture import INPUT
from appliance.training.recipe import NetworkPlan


def folded(network: SliceNetwork) -> SliceNetwork:
    """A copy that answers the same, in which every convolution carries the batch norm that came after it."""
    plain = copy.deepcopy(network)
    plain.eval()
    for parent in list(plain.modules()):
        before: tuple[str, nn.Module] | None = None
        for name, child in list(parent.named_children()):
            if before and isinstance(before[1], nn.Conv2d) and isinstance(child, nn.BatchNorm2d):
                setattr(parent, before[0], fuse_conv_bn_eval(before[1], child))
                setattr(parent, name, nn.Identity())
            before = (name, child)
    return plain


def network_of(engine: EngineFiles, kind: str, called: str) -> SliceNetwork:
    """The network of an engine of this kind, to be trained further. It has no batch norms: they are in its weights.

    `called`: what the engine is called in messages. CannotStart where it is another network, or sees other windows.
    """
    if engine.card.input != INPUT:
        raise CannotStart(
            f"{called} looks at pictures through other windows than this version trains; it cannot go on."
        )
    network = folded(build_network(NetworkPlan(kind=kind)))
    found = _weights(engine.model)
    wanted = network.state_dict()
    if {name: tuple(value.shape) for name, value in wanted.items()} != {n: v.shape for n, v in found.items()}:
        raise CannotStart(f"{called} is no network of kind {kind}. Name its kind in the recipe, under [network].")
    network.load_state_dict({name: torch.from_numpy(value.copy()) for name, value in found.items()})
    return network


def _weights(model: bytes) -> Mapping[str, NDArray[np.float32]]:
    graph = onnx.load_from_string(model).graph
    named = {one.name: onnx.numpy_helper.to_array(one) for one in graph.initializer}
    # What the exporter adds of its own are sizes and scales, with names like "/Constant_output_0" or "onnx::Resize_12".
    return {name: value for name, value in named.items() if not name.startswith(("/", "onnx::"))}
