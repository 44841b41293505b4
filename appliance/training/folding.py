"""Batch norms folded into their convolutions: what an engine file holds, and what a network read back from one is."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from appliance.core.engine import Window
from appliance.core.errors import CannotStart
from appliance.core.words import LABELS, Label
from appliance.inference.manifest import EngineFiles
from appliance.training.network import SliceNetwork
from appliance.training.networks import KINDS, build_network
from appliance.training.pair import Beside
from appliance.training.picture import INPUT
from appliance.training.plans import NetworkPlan

_FIRST, _SECOND, _SHARE = "first", "second", "share"  # as `pair.PairNet` names its parts


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
    """The network of an engine of this kind, to be trained further; of a pair the first. It has no batch norms: they are
    in its weights.

    `called`: what the engine is called in messages. CannotStart where it is another network, or sees other windows.
    """
    weights = _weights(engine.model)
    part = _FIRST if _is_pair(weights) else ""
    if _windows(engine, weights, part) != INPUT.windows or not _is_of_our_size(engine):
        raise CannotStart(
            f"{called} looks at pictures through other windows than this version trains; it cannot go on."
        )
    network = _filled(kind, _under(part, weights))
    if network is None:
        raise CannotStart(f"{called} is no network of kind {kind}. Name its kind in the recipe, under [network].")
    return network


def second_of(engine: EngineFiles, called: str) -> Beside | None:
    """The second network of a pair, with its share; None where the engine is one network alone."""
    weights = _weights(engine.model)
    if not _is_pair(weights):
        return None
    return replace(_beside(engine, _SECOND, called), share=float(weights[_SHARE][LABELS.index(Label.ANY)]))


def beside_of(engine: EngineFiles, called: str) -> Beside:
    """An engine's network, to answer beside another one. CannotStart where it is a pair itself, or none that we know."""
    if _is_pair(_weights(engine.model)):
        raise CannotStart(f"{called} is a pair of networks. Name one that is not; to train it further: --from.")
    return _beside(engine, "", called)


def _beside(engine: EngineFiles, part: str, called: str) -> Beside:
    weights = _weights(engine.model)
    found = (_filled(kind, _under(part, weights)) for kind in KINDS)
    network = next((one for one in found if one is not None), None)
    if network is None or not _is_of_our_size(engine):
        raise CannotStart(f"{called} holds no network that this version trains: it cannot answer beside another.")
    return Beside(network=network.eval(), windows=_windows(engine, weights, part), trained_on=engine.trained_on)


def _is_pair(weights: Mapping[str, NDArray[np.float32]]) -> bool:
    return _choice(_SECOND) in weights


def _choice(part: str) -> str:
    return f"{part}_windows.choice"


def _windows(engine: EngineFiles, weights: Mapping[str, NDArray[np.float32]], part: str) -> tuple[Window, ...]:
    """Those that a part of an engine looks through; of the whole engine with no part."""
    all_of_them = engine.card.input.windows
    if not part:
        return all_of_them
    return tuple(all_of_them[k] for k in weights[_choice(part)][:, :, 0, 0].argmax(axis=1))


def _under(part: str, weights: Mapping[str, NDArray[np.float32]]) -> Mapping[str, NDArray[np.float32]]:
    """The weights of a part, by their names in it."""
    if not part:
        return weights
    return {name.removeprefix(f"{part}."): value for name, value in weights.items() if name.startswith(f"{part}.")}


def _is_of_our_size(engine: EngineFiles) -> bool:
    return replace(engine.card.input, windows=INPUT.windows) == INPUT


def _filled(kind: str, found: Mapping[str, NDArray[np.float32]]) -> SliceNetwork | None:
    """A network of a kind with these weights; None where they are another's."""
    network = folded(build_network(NetworkPlan(kind=kind)))
    wanted = network.state_dict()
    if {name: tuple(value.shape) for name, value in wanted.items()} != {n: v.shape for n, v in found.items()}:
        return None
    network.load_state_dict({name: torch.from_numpy(value.copy()) for name, value in found.items()})
    return network


def _weights(model: bytes) -> Mapping[str, NDArray[np.float32]]:
    graph = onnx.load_from_string(model).graph
    named = {one.name: onnx.numpy_helper.to_array(one) for one in graph.initializer}
    # What the exporter adds of its own are sizes and scales, with names like "/Constant_output_0" or "onnx::Resize_12".
    return {name: value for name, value in named.items() if not name.startswith(("/", "onnx::"))}
