"""What the product's own interpreter hands to the one that has TensorRT: a folder with graph, FP32 answers and order.

The folder is whole in itself: it may be carried to the box with the card. Runs on Python 3.10; the standard library and
numpy alone.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from appliance.building.learned_exam import Learned
from appliance.building.parity import Answers, ExamPlaces, Rule
from appliance.inference.plan_files import write_durably

JOB: Final = "job.json"
GRAPH: Final = "graph.onnx"
REFERENCE: Final = "reference.npz"
AGGREGATOR: Final = "aggregator.npz"
"""Only for an engine that has one."""
ANSWER: Final = "answer.json"
SCHEMA_VERSION: Final = 2


class BadJob(Exception):
    """The folder does not hold a whole job. The message says what is wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What to build. `spec`: as `tensorrt_engine.TensorRtEngine` takes it; `nodes`: operator and name of each node of
    the graph; `fp32_nodes`: names of those whose results stay in FP32; `parity`: the report of the gate before."""

    engine_sha256: str
    onnx_sha256: str
    precision: str
    max_batch: int
    workspace_mib: int
    spec: Mapping[str, Any]
    nodes: tuple[tuple[str, str], ...]
    fp32_nodes: tuple[str, ...]
    parity: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """An order with its graph, and what the plan must answer: `images` float32 [n, channels, size, size]."""

    order: Order
    graph: bytes
    images: NDArray[np.float32]
    answers: Answers
    exams: tuple[ExamPlaces, ...]
    rule: Rule


def write_job(folder: Path, job: Job) -> None:
    """Writes a job into a folder that is there. The order comes last: a folder with one is whole."""
    answers = job.answers
    with (folder / REFERENCE).open("wb") as file:
        np.savez_compressed(
            file, images=job.images, logits=answers.logits, embedding=answers.embedding, heat=answers.heat
        )
    (folder / GRAPH).write_bytes(job.graph)
    files = [GRAPH, REFERENCE]
    if job.rule.learned is not None:
        weights = {one.name: getattr(job.rule.learned, one.name) for one in fields(Learned)}
        np.savez(folder / AGGREGATOR, **weights)
        files.append(AGGREGATOR)
    said = {
        "schema_version": SCHEMA_VERSION,
        "order": asdict(job.order),
        "rule": {name: value for name, value in asdict(job.rule).items() if name != "learned"},
        "exams": [exam.as_dict() for exam in job.exams],
        "sha256": {name: sha256((folder / name).read_bytes()).hexdigest() for name in files},
    }
    write_durably(folder / JOB, json.dumps(said, indent=1, allow_nan=False).encode())


def read_job(folder: Path) -> Job:
    """The job of a folder, each file held against its hash. BadJob in words."""
    try:
        said = json.loads((folder / JOB).read_bytes())
        if said["schema_version"] != SCHEMA_VERSION:
            raise BadJob(f"{folder / JOB} is of another version of the product")
        for name, digest in said["sha256"].items():
            if sha256((folder / name).read_bytes()).hexdigest() != digest:
                raise BadJob(f"{folder / name} is damaged: its sha256 differs")
        with np.load(folder / REFERENCE, allow_pickle=False) as held:
            images = held["images"]
            answers = Answers(logits=held["logits"], embedding=held["embedding"], heat=held["heat"])
        learned = _learned(folder) if AGGREGATOR in said["sha256"] else None
        order = said["order"]
        rule: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in said["rule"].items()}
        return Job(
            order=Order(
                **{
                    **order,
                    "nodes": tuple((node[0], node[1]) for node in order["nodes"]),
                    "fp32_nodes": tuple(order["fp32_nodes"]),
                }
            ),
            graph=(folder / GRAPH).read_bytes(),
            images=images,
            answers=answers,
            exams=tuple(ExamPlaces.from_dict(exam) for exam in said["exams"]),
            rule=Rule(**rule, learned=learned),
        )
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise BadJob(f"{folder} holds no whole job ({type(error).__name__}: {error!s:.200})") from None


def _learned(folder: Path) -> Learned:
    with np.load(folder / AGGREGATOR, allow_pickle=False) as held:
        return Learned(**{one.name: held[one.name] for one in fields(Learned)})
