"""From FP32 to FP16 on the processor: what becomes of the graph, and which engines the gate lets through."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from appliance.core.errors import Fault
from appliance.inference.manifest import EngineFiles, read_engine
from appliance.inference.onnxruntime_backend import session_options
from appliance.inference.plan_files import LOGIT_MOST
from appliance.inference.runtime import ort
from tests.core.test_aggregator import LEARNED

onnx = pytest.importorskip("onnx", reason="onnx is not installed: the build extra adds it")
pytest.importorskip("onnxconverter_common", reason="onnxconverter-common is not installed: the build extra adds it")

from appliance.building import learned_exam  # noqa: E402
from appliance.building.cpu_gate import (  # noqa: E402
    ACTIVATION_MOST,
    GateBroken,
    Reference,
    gate_fp16,
    gate_fp32,
    make_reference,
    unfit_weights,
)
from appliance.building.emulation import rounding  # noqa: E402
from appliance.building.gate_set import GateSet, make_gate_set  # noqa: E402
from appliance.building.graphs import GraphRefused, beginning_of, ends_of, kept_in_fp32, to_fp16, with_free_batch  # noqa: E402
from appliance.building.parity import EXAM_LOGIT_MOST, exam_says  # noqa: E402
from appliance.building.steps import GateFailed, Wish, prepare  # noqa: E402

FOLDER = Path(__file__).parents[2] / "engines" / "head-ct"
FLOAT, HALF = 1, 10
FEW = 40
"""Slices of one head and its twin: enough for tests of what follows from a gate."""


@pytest.fixture(scope="module")
def files() -> EngineFiles:
    return read_engine(FOLDER)


@pytest.fixture(scope="module")
def learned(files: EngineFiles) -> EngineFiles:
    """The engine with an aggregator that bends every answer."""
    return with_aggregator(files)


@pytest.fixture(scope="module")
def free(files: EngineFiles) -> Any:
    return with_free_batch(files.model)


@pytest.fixture(scope="module")
def half(free: Any) -> Any:
    return to_fp16(free)


@pytest.fixture(scope="module")
def pictures(files: EngineFiles) -> GateSet:
    return make_gate_set(files, slices_least=FEW)


def types_of(model: Any) -> dict[str, int]:
    """The type of each value and weight of a model."""
    graph = onnx.shape_inference.infer_shapes(model, strict_mode=True).graph
    values = {one.name: one.type.tensor_type.elem_type for one in (*graph.value_info, *graph.input, *graph.output)}
    return values | {one.name: one.data_type for one in graph.initializer}


def input_shape(files: EngineFiles) -> tuple[int, int, int]:
    picture = files.card.input
    return (len(picture.windows), picture.size, picture.size)


def session_of(model: Any) -> Any:
    return ort.InferenceSession(model.SerializeToString(), session_options(1), providers=["CPUExecutionProvider"])


class TestGraphs:
    def test_beginning_and_ends_stay_in_fp32_and_the_trunk_does_not(self, free: Any, half: Any) -> None:
        types = types_of(half)
        assert {one.name: types[one.name] for one in (*half.graph.input, *half.graph.output)} == {
            "image": FLOAT,
            "logits": FLOAT,
            "embedding": FLOAT,
            "heat": FLOAT,
        }
        beginning, ends = beginning_of(free), ends_of(free.graph)
        for node in half.graph.node:
            if node.op_type == "Cast":
                continue
            floats = {types[name] for name in (*node.input, *node.output) if types.get(name) in (FLOAT, HALF)}
            kept = node.name in beginning | ends or node.op_type == "Resize"
            assert floats == {FLOAT if kept else HALF}, node.name
        for network in ("/first", "/second"):
            last = ("/heat/Conv", "/embed/Gemm", "/global_term/Gemm", "/ReduceMean", "/Exp", "/Log")
            assert {network + name for name in last} <= ends
        convolutions = {node.name for node in half.graph.node if node.op_type == "Conv"}
        assert convolutions == {node.name for node in free.graph.node if node.op_type == "Conv"}
        first = next(node.name for node in free.graph.node)
        assert first in beginning
        assert len(convolutions - beginning - ends) > len(convolutions) / 2  # most of the work is done in FP16

    def test_no_large_map_is_left_to_fp16_before_the_first_small_one(self, free: Any) -> None:
        graph = onnx.shape_inference.infer_shapes(free).graph
        sides = {one.name: one.type.tensor_type.shape.dim[2].dim_value for one in graph.value_info
                 if len(one.type.tensor_type.shape.dim) == 4}  # fmt: skip
        beginning = beginning_of(free)
        small = next(index for index, node in enumerate(graph.node) if 0 < sides.get(node.output[0], 0) < 56)
        assert {node.name for node in graph.node[:small]} <= beginning
        assert all(sides[node.output[0]] >= 56 for node in graph.node if node.name in beginning)

    def test_nothing_is_cast_down_behind_the_trunk(self, half: Any) -> None:
        """A value of the ends that went through FP16 would have lost what the ends are kept for."""
        makers = {name: node for node in half.graph.node for name in node.output}
        ends = ends_of(half.graph)
        for node in half.graph.node:
            if node.op_type == "Cast" and node.attribute[0].i == HALF:
                maker = makers.get(node.input[0])
                assert maker is None or maker.op_type == "Resize" or maker.name not in ends, node.name

    def test_half_the_bytes(self, files: EngineFiles, half: Any) -> None:
        assert len(half.SerializeToString()) < 0.6 * len(files.model)

    def test_any_number_of_slices_gives_what_each_alone_gives(self, files: EngineFiles, free: Any, half: Any) -> None:
        images = np.random.default_rng(0).random((5, *input_shape(files)), dtype=np.float32)
        one = ort.InferenceSession(files.model, session_options(1), providers=["CPUExecutionProvider"])
        alone = [one.run(None, {"image": images[n : n + 1]}) for n in range(5)]
        for model, most in ((free, 1e-5), (half, LOGIT_MOST)):
            together = session_of(model).run(None, {"image": images})
            for index, found in enumerate(together):
                assert found.dtype == np.float32
                assert np.abs(found - np.concatenate([part[index] for part in alone])).max() < most

    def test_no_shape_is_worked_out_while_it_runs(self, free: Any) -> None:
        assert not {node.op_type for node in free.graph.node} & {"Shape", "Slice", "Gather", "Constant"}

    def test_a_reshape_that_mixes_slices_is_refused_by_name(self) -> None:
        make = onnx.helper
        graph = make.make_graph(
            [make.make_node("Reshape", ["x", "shape"], ["y"], name="mixer")],
            "g",
            [make.make_tensor_value_info("x", FLOAT, [1, 4])],
            [make.make_tensor_value_info("y", FLOAT, [2, 2])],
            [onnx.numpy_helper.from_array(np.array([2, 2]), "shape")],
        )
        model = make.make_model(graph, opset_imports=[make.make_opsetid("", 17)], ir_version=8)
        with pytest.raises(GraphRefused, match=r"mixer \(Reshape\)"):
            with_free_batch(model.SerializeToString())

    def test_bytes_that_are_no_model_are_refused(self) -> None:
        with pytest.raises(GraphRefused, match="cannot be read"):
            with_free_batch(b"no model at all")

    def test_a_weight_of_trunk_and_ends_is_there_in_both_precisions(self) -> None:
        make = onnx.helper
        graph = make.make_graph(
            [
                make.make_node("Conv", ["x", "w"], ["a"], name="trunk"),
                make.make_node("Mul", ["a", "k"], ["b"], name="scaled"),
                make.make_node("Conv", ["b", "w"], ["c"], name="last"),
                make.make_node("Mul", ["c", "k"], ["y"], name="end"),
            ],
            "g",
            [make.make_tensor_value_info("x", FLOAT, [1, 1, 4, 4])],
            [make.make_tensor_value_info("y", FLOAT, [1, 1, 4, 4])],
            [
                onnx.numpy_helper.from_array(np.full((1, 1, 1, 1), 1.0 / 3.0, np.float32), "w"),
                onnx.numpy_helper.from_array(np.array(0.1, np.float32), "k"),
            ],
        )
        model = make.make_model(graph, opset_imports=[make.make_opsetid("", 17)], ir_version=8)
        made = to_fp16(with_free_batch(model.SerializeToString()))
        types = types_of(made)
        assert (types["k"], types["k/fp32"], types["w"], types["w/fp32"]) == (HALF, FLOAT, HALF, FLOAT)
        found = session_of(made).run(None, {"x": np.ones((2, 1, 4, 4), np.float32)})[0]
        assert found == pytest.approx(0.1 * 0.1 / 9.0, rel=2e-3)

    def test_emulation_rounds_where_fp16_would(self, files: EngineFiles, free: Any, half: Any) -> None:
        """Each value between is one that FP16 can hold."""
        model = rounding(half)
        shown = [node.output[0] for node in model.graph.node if node.name.endswith("/round/up")]
        kept = kept_in_fp32(free)
        inside = [node for node in half.graph.node if node.op_type == "Conv" and node.name not in kept]
        assert {node.output[0] for node in inside} <= {name.removesuffix("/round/up") for name in shown} | set(shown)
        for name in shown:
            model.graph.output.append(onnx.helper.make_tensor_value_info(name, FLOAT, None))
        image = np.random.default_rng(1).random((1, *input_shape(files)), dtype=np.float32)
        for name, values in zip(shown, session_of(model).run(shown, {"image": image}), strict=True):
            assert np.array_equal(values, values.astype(np.float16).astype(np.float32)), name


class TestGate:
    def test_the_shipped_engine_passes_on_all_slices(self, files: EngineFiles, free: Any, half: Any) -> None:
        """The figures that README gives: python build_engine.py prints them."""
        told: list[tuple[str, int, int]] = []
        job = prepare(files, Wish(precision="fp16", max_batch=8), lambda *said: told.append(said), slices_least=200)
        report = job.order.parity["processor"]
        print({name: value for name, value in report.items() if name != "why"})
        assert report["passed"]
        assert report["golden"] >= 3
        assert report["slices"] - report["golden"] - report["odd"] >= 200
        assert report["flips"] == []
        assert 0 < report["logit"] <= LOGIT_MOST
        assert 0 < report["slice_p"] <= 0.01
        assert 0 < report["exam_p"] <= 0.005
        assert 0.99 <= report["heat_dice"] < 1.0
        assert 0 < report["activation"] < ACTIVATION_MOST
        assert {stage for stage, *_ in told} == {"inventing exams", "asking the FP32 engine", "rounding to FP16"}
        assert all(count <= total for _, count, total in told)
        bleeding = [exam for exam in job.exams if "bleeding" in exam.name]
        assert len(bleeding) * 2 == len(job.exams)
        assert all(exam.counting and exam.brains and exam.pairs for exam in job.exams)
        reached = [set(exam_says(job.answers, exam, job.rule).reached) for exam in job.exams]
        points = {"critical", "review", "early pair", "early single"}
        assert set.union(*reached) == points, "no exam that could fall below each point: flips would prove nothing"
        assert set.intersection(*reached) == set(), "no exam that could rise above a point"

    def test_values_that_grow_too_large_are_named(self, files: EngineFiles, pictures: GateSet) -> None:
        report = self.gate(louder(files, 1e5), pictures)
        assert not report["passed"]
        assert report["why"][0].startswith("values inside the network reach")
        assert any(name in report["why"][0] for name in ("/lateral.", "/first/Add", "/second/Add"))
        assert report["activation"] > ACTIVATION_MOST

    def test_values_past_what_fp16_holds_end_in_no_number(self, files: EngineFiles, pictures: GateSet) -> None:
        report = self.gate(louder(files, 1e7), pictures)
        assert not report["passed"]
        assert any("with what is no number" in why for why in report["why"])

    def test_weights_below_what_fp16_holds_are_named(self, files: EngineFiles, pictures: GateSet) -> None:
        report = self.gate(louder(files, 2e-6), pictures)
        assert not report["passed"]
        assert any(why.startswith("a logit is") for why in report["why"])
        assert any("weights that FP16 cannot hold: first.lateral.1.weight" in why for why in report["why"])

    def test_a_channel_that_training_left_dead_is_not_named(self, files: EngineFiles) -> None:
        model = onnx.load_model_from_string(files.model)
        first = next(node for node in model.graph.node if node.op_type == "Conv")
        (weight,) = [one for one in model.graph.initializer if one.name == first.input[1]]
        values = onnx.numpy_helper.to_array(weight).copy()
        values[0] = 1e-9
        weight.CopyFrom(onnx.numpy_helper.from_array(values, weight.name))
        graph = with_free_batch(model.SerializeToString())
        assert unfit_weights(graph, to_fp16(graph)) == []

    def test_an_engine_that_answers_with_no_number_is_no_engine(self, files: EngineFiles, pictures: GateSet) -> None:
        with pytest.raises(Fault, match="no number"):
            make_reference(louder(files, np.nan), pictures)

    def test_a_gate_that_reads_otherwise_than_the_appliance_does_not_judge(
        self, files: EngineFiles, pictures: GateSet, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from appliance.building import cpu_gate

        true_rule = cpu_gate.rule_of
        monkeypatch.setattr(cpu_gate, "rule_of", lambda card: replace(true_rule(card), sharpness=2.001))
        with pytest.raises(GateBroken, match="otherwise than the appliance"):
            make_reference(files, pictures)

    def test_a_graph_that_does_not_run_is_refused(self, files: EngineFiles, free: Any, pictures: GateSet) -> None:
        reference = make_reference(files, pictures)
        with pytest.raises(GraphRefused, match="does not run the graph"):
            gate_fp32(files, free, replace(reference, images=reference.images[:, :2]))

    def test_a_failed_gate_leaves_no_job(self, files: EngineFiles) -> None:
        with pytest.raises(GateFailed, match="values inside the network reach") as failed:
            prepare(louder(files, 1e5), Wish(precision="fp16", max_batch=8), lambda *_: None, slices_least=FEW)
        assert failed.value.report["why"]

    def test_fp32_is_held_against_itself(self, files: EngineFiles) -> None:
        job = prepare(louder(files, 1e5), Wish(precision="fp32", max_batch=2), lambda *_: None, slices_least=FEW)
        report = job.order.parity["processor"]
        assert report["passed"]
        assert report["logit"] < 1e-3
        assert not any(one.data_type == HALF for one in onnx.load_model_from_string(job.graph).graph.initializer)

    def test_exams_are_those_of_an_engines_aggregator(
        self, files: EngineFiles, learned: EngineFiles, free: Any, half: Any, pictures: GateSet
    ) -> None:
        """Both engines read by the code that reads live, or `GateBroken` would have been raised."""
        plain, reference = make_reference(files, pictures), make_reference(learned, pictures)
        report = gate_fp16(learned, free, half, pictures, reference)
        print({name: value for name, value in report.items() if name.startswith("exam")})
        assert report["passed"], report["why"]
        assert 0 < report["exam_logit"] <= EXAM_LOGIT_MOST
        for exam, before in zip(reference.exams, plain.exams, strict=True):
            said, by_rule = (exam_says(one.answers, e, one.rule) for one, e in ((reference, exam), (plain, before)))
            assert np.abs(np.subtract(said.logits, by_rule.logits)).min() > 0.01

    def test_an_aggregator_that_is_known_otherwise_does_not_judge(
        self, learned: EngineFiles, pictures: GateSet, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(learned_exam, "_REACHES_MM", (3.0, 8.01))
        with pytest.raises(GateBroken, match="otherwise than the appliance"):
            make_reference(learned, pictures)

    @staticmethod
    def gate(files: EngineFiles, pictures: GateSet) -> dict[str, Any]:
        graph = with_free_batch(files.model)
        reference: Reference = make_reference(files, pictures)
        return gate_fp16(files, graph, to_fp16(graph), pictures, reference)


def with_aggregator(files: EngineFiles, **weights: Any) -> EngineFiles:
    """The engine with an invented aggregator, trained under the engine's own calibration."""
    card = files.card
    aggregator = replace(
        LEARNED,
        scale=np.array(card.calibration_scale),
        bias=np.array(card.calibration_bias),
        smoothing_mm=card.exam_rule.smoothing_mm,
        sharpness=card.exam_rule.sharpness,
        **weights,
    )
    return replace(files, card=replace(card, aggregator=aggregator))


def louder(files: EngineFiles, by: float) -> EngineFiles:
    """The same engine in exact numbers: what the decoders add up this much louder, the layers behind as much quieter."""
    model = onnx.load_model_from_string(files.model)
    weights = {one.name: one for one in model.graph.initializer}
    by_name = {node.name: node for node in model.graph.node}
    laterals = [node for name, node in by_name.items() if "/lateral." in name]
    behind = [by_name[f"/{network}/smooth/smooth.0/Conv"] for network in ("first", "second")]
    scaled = [(name, by) for node in laterals for name in node.input[1:]]
    scaled += [(node.input[1], 1.0 / by) for node in behind]
    assert len(laterals) >= 6
    for name, factor in scaled:
        values = onnx.numpy_helper.to_array(weights[name]) * np.float32(factor)
        weights[name].CopyFrom(onnx.numpy_helper.from_array(values, name))
    return replace(files, model=model.SerializeToString())
