"""From a graph to a plan: the one module of this room with tensorrt, and one code for TensorRT 8.6, 10 and 11.

What differs between them is asked of the module, never of its version. Import it only where `driver.probe` has shown a
card. Runs on Python 3.10; the standard library and tensorrt alone, and what logs for it.
"""

from dataclasses import dataclass
from time import monotonic
from typing import Any, Final

import tensorrt as trt

from appliance.building.job import Order
from appliance.inference.tensorrt_engine import BridgedLog

_MIB: Final = 1 << 20
_ERRORS_SAID: Final = 3


class CannotBuild(Exception):
    """TensorRT does not build the plan. The message says why: where it can be named, with operator and layer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """A plan; `timing`: what was learned about this card, for the next build; `build_s`: how long it took."""

    plan: bytes
    timing: bytes
    build_s: float


def build_plan(graph: bytes, order: Order, timing: bytes = b"") -> Built:
    """The plan for 1 to `order.max_batch` slices, best for one. `timing`: of an earlier build. CannotBuild."""
    begin_s = monotonic()
    logger = BridgedLog()
    try:
        builder = trt.Builder(logger)
    except TypeError:
        raise CannotBuild(f"TensorRT makes no builder here: {logger.last_words()}") from None
    network = builder.create_network(_network_flags())
    parser = trt.OnnxParser(network, logger)
    if not parser.parse(graph):
        raise CannotBuild(f"TensorRT does not take the graph: {_refused(parser, order) or logger.last_words()}")
    config = builder.create_builder_config()
    _configure(config, order)
    if order.precision == "fp16" and not is_strongly_typed():
        _keep_in_fp32(network, set(order.fp32_nodes))
    profile = builder.create_optimization_profile()
    name, shape = order.spec["input"]["name"], tuple(order.spec["input"]["shape"])
    profile.set_shape(name, (1, *shape), (1, *shape), (order.max_batch, *shape))
    if config.add_optimization_profile(profile) < 0:
        raise CannotBuild(f"TensorRT does not take batches of 1 to {order.max_batch}: {logger.last_words()}")
    held = _use_timing(config, timing)  # must live until the plan is built
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise CannotBuild(f"TensorRT builds no plan: {logger.last_words()}")
    learned = bytes(held.serialize()) if held is not None else b""
    return Built(plan=bytes(plan), timing=learned, build_s=monotonic() - begin_s)


def is_strongly_typed() -> bool:
    """Whether the graph carries its types. Where not, FP16 is a permission, and the ends are held back from it."""
    return hasattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED")


def _network_flags() -> int:
    flags = 0
    if hasattr(trt.NetworkDefinitionCreationFlag, "EXPLICIT_BATCH"):
        flags |= 1 << int(trt.NetworkDefinitionCreationFlag.EXPLICIT_BATCH)
    if hasattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED"):
        flags |= 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
    return flags


def _configure(config: Any, order: Order) -> None:
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, order.workspace_mib * _MIB)
    config.clear_flag(trt.BuilderFlag.TF32)  # on by default, and no FP32 at all
    config.set_tactic_sources(
        1 << int(trt.TacticSource.EDGE_MASK_CONVOLUTIONS) | 1 << int(trt.TacticSource.JIT_CONVOLUTIONS)
    )
    if hasattr(trt.PreviewFeature, "DISABLE_EXTERNAL_TACTIC_SOURCES_FOR_CORE_0805"):
        config.set_preview_feature(trt.PreviewFeature.DISABLE_EXTERNAL_TACTIC_SOURCES_FOR_CORE_0805, True)
    if hasattr(trt.PreviewFeature, "PROFILE_SHARING_0806"):  # a context for each batch size, all by one profile
        config.set_preview_feature(trt.PreviewFeature.PROFILE_SHARING_0806, True)
    if order.precision == "fp16" and not is_strongly_typed() and hasattr(trt.BuilderFlag, "FP16"):
        config.set_flag(trt.BuilderFlag.FP16)
        if hasattr(trt.BuilderFlag, "PREFER_PRECISION_CONSTRAINTS"):
            config.set_flag(trt.BuilderFlag.PREFER_PRECISION_CONSTRAINTS)


def _keep_in_fp32(network: Any, names: set[str]) -> None:
    """Asks for FP32 in the layers of these nodes. A wish: whether it was heard the gate says."""
    for index in range(network.num_layers):
        layer = network.get_layer(index)
        if layer.name not in names or not (hasattr(layer, "precision") and hasattr(layer, "set_output_type")):
            continue
        outputs = [layer.get_output(number) for number in range(layer.num_outputs)]
        if all(tensor.dtype == trt.float32 and not tensor.is_shape_tensor for tensor in outputs):
            layer.precision = trt.float32
            for number in range(layer.num_outputs):
                layer.set_output_type(number, trt.float32)


def _use_timing(config: Any, timing: bytes) -> Any:
    """Makes use of what an earlier build has learned, where it is of this card and this TensorRT; else of nothing yet."""
    for known in (timing, b""):
        cache = config.create_timing_cache(known)
        if cache is not None and config.set_timing_cache(cache, False):
            return cache
    return None


def _refused(parser: Any, order: Order) -> str:
    """What the parser could not take, each with operator and layer."""
    said = []
    for index in range(min(parser.num_errors, _ERRORS_SAID)):
        error = parser.get_error(index)
        operator, name = _place(error, order)
        said.append(f"{operator} at {name}: {' '.join(error.desc().split())[:300]}")
    return "; ".join(said)


def _place(error: Any, order: Order) -> tuple[str, str]:
    if hasattr(error, "node_operator") and hasattr(error, "node_name") and error.node_operator():
        return str(error.node_operator()), str(error.node_name())
    number = error.node()
    return order.nodes[number] if 0 <= number < len(order.nodes) else ("an operator", f"node {number}")
