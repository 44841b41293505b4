"""What the product's own interpreter does of a build: graphs, the gate on the processor, and the job for the card."""

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

from appliance.building.cpu_gate import gate_fp16, gate_fp32, make_reference
from appliance.building.gate_set import SLICES_LEAST, make_gate_set
from appliance.building.graphs import kept_in_fp32, to_fp16, with_free_batch
from appliance.building.job import Job, Order
from appliance.inference.manifest import EngineFiles
from appliance.inference.plan_files import FP32_OPERATORS, ON_PROCESSOR
from appliance.inference.tensorrt_backend import engine_spec

WORKSPACE_MIB: Final = 256

Tell = Callable[[str, int, int], None]
"""What is being done, how much of it is, of how much."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What is to be built."""

    precision: str
    max_batch: int
    workspace_mib: int = WORKSPACE_MIB


class GateFailed(Exception):
    """The engine may not run in this precision. `report` as the gate gave it, its reasons in `why`."""

    def __init__(self, report: dict[str, Any]) -> None:
        super().__init__("; ".join(report["why"]))
        self.report = report


def prepare(files: EngineFiles, wish: Wish, tell: Tell, *, slices_least: int = SLICES_LEAST) -> Job:
    """The job for the card, proven as far as a processor can. GateFailed; `graphs.GraphRefused`; Fault `engine-fault`."""
    free = with_free_batch(files.model)
    half = to_fp16(free) if wish.precision == "fp16" else None
    pictures = make_gate_set(
        files,
        slices_least=slices_least,
        done=lambda count: tell("inventing exams", min(count, slices_least), slices_least),
    )
    all_of_them = len(pictures.images)
    reference = make_reference(files, pictures, lambda count: tell("asking the FP32 engine", count, all_of_them))
    if half is None:
        report = gate_fp32(files, free, reference, lambda count: tell("asking the graph", count, all_of_them))
    else:
        report = gate_fp16(
            files, free, half, pictures, reference, lambda count: tell("rounding to FP16", count, 2 * all_of_them)
        )
    report = {"golden": pictures.golden, "odd": pictures.odd, **report}
    if not report["passed"]:
        raise GateFailed(report)
    graph = free if half is None else half
    kept = kept_in_fp32(free)
    order = Order(
        engine_sha256=files.card.sha256,
        onnx_sha256=sha256(files.model).hexdigest(),
        precision=wish.precision,
        max_batch=wish.max_batch,
        workspace_mib=wish.workspace_mib,
        spec=engine_spec(files, wish.max_batch),
        nodes=tuple((node.op_type, node.name) for node in graph.graph.node),
        fp32_nodes=tuple(node.name for node in graph.graph.node if node.name in kept or node.op_type in FP32_OPERATORS),
        parity={ON_PROCESSOR: report},
    )
    return Job(
        order=order,
        graph=graph.SerializeToString(),
        images=reference.images,
        answers=reference.answers,
        exams=reference.exams,
        rule=reference.rule,
    )
