"""The engine that ships, loaded and asked as the appliance does it; and folders that must be refused."""

import io
import shutil
import threading
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from time import thread_time

import numpy as np
import pytest

from appliance.core.errors import Fault
from appliance.core.evidence import early_evidence, finding_of, level_of
from appliance.core.headers import SliceGeometry
from appliance.core.ledger import SliceRow
from appliance.core.slices import SliceScore
from appliance.core.words import LABELS, Level
from appliance.exams.head_ct.anatomy import find_anatomy
from appliance.inference.backend import Answer
from appliance.inference.golden import check_golden
from appliance.inference.loading import LoadedEngine, load_engine
from appliance.inference.manifest import EngineRefused, read_engine
from appliance.inference.onnxruntime_backend import OnnxRuntimeBackend
from appliance.inference.thread_choice import BASE, SETTINGS, compare, figures
from appliance.phantoms.demo import demo_exam
from appliance.phantoms.exam import HELD_OUT_SEED, PhantomExam
from appliance.reading.exam_reader import read_exam
from appliance.reading.prepare import prepare
from appliance.reading.slice_reader import read_slice
from tests.scored import scored

FOLDER = Path(__file__).parents[2] / "engines" / "head-ct"


@pytest.fixture(scope="module")
def engine() -> LoadedEngine:
    return load_engine(FOLDER)


@pytest.fixture(scope="module")
def exam() -> PhantomExam:
    return demo_exam(HELD_OUT_SEED + 3, bleeding=True)


def geometry_of(exam: PhantomExam, index: int) -> SliceGeometry:
    rows, columns = exam.hu.shape[1:]
    return SliceGeometry(
        rows=rows,
        columns=columns,
        pixel_mm=(exam.pixel_mm, exam.pixel_mm),
        row_direction=(1.0, 0.0, 0.0),
        column_direction=(0.0, 1.0, 0.0),
        corner_mm=(-exam.pixel_mm * columns / 2, -exam.pixel_mm * rows / 2, float(exam.positions_mm[index])),
        position_mm=float(exam.positions_mm[index]),
        tilt_deg=0.0,
        thickness_mm=exam.scanner.thickness_mm,
    )


def bits(score: SliceScore) -> tuple[object, ...]:
    """All of a score but its times."""
    return (
        score.logits.tobytes(),
        score.embedding.tobytes(),
        score.heat.tobytes(),
        score.probabilities,
        score.box,
        score.peak_rc,
        score.has_brain,
        score.brain_hu,
        score.skull_area_mm2,
        score.facts,
    )


def as_rows(exam: PhantomExam, scores: dict[int, SliceScore]) -> list[SliceRow]:
    return [
        replace(scored(index + 1, 0.0), geometry=geometry_of(exam, index), score=score)
        for index, score in scores.items()
    ]


@pytest.fixture(scope="module")
def scores(engine: LoadedEngine, exam: PhantomExam) -> dict[int, SliceScore]:
    return {index: read_slice(engine, exam.hu[index], geometry_of(exam, index)) for index in range(len(exam.hu))}


class TestScore:
    def test_what_a_score_holds(self, scores: dict[int, SliceScore], exam: PhantomExam) -> None:
        for score in scores.values():
            assert score.logits.shape == (6,)
            assert score.logits.dtype == np.float32
            assert score.embedding.shape == (64,)
            assert score.heat.shape == (56, 56)
            assert score.heat.dtype == np.uint8
            assert all(0.0 <= chance <= 1.0 for chance in score.probabilities)
            assert set(score.ms) == {"anatomy", "prepare", "engine"}
            assert score.box.side_mm == 224.0
            if score.peak_rc is not None:
                assert 0 <= score.peak_rc[0] < exam.hu.shape[1]
                assert 0 <= score.peak_rc[1] < exam.hu.shape[2]
        assert sum(score.has_brain for score in scores.values()) >= 15

    def test_the_hottest_place_of_the_bleed_lies_in_the_bleed(
        self, scores: dict[int, SliceScore], exam: PhantomExam
    ) -> None:
        index = max(scores, key=lambda one: scores[one].probabilities[0])
        peak = scores[index].peak_rc
        assert peak is not None
        rows, columns = np.nonzero(exam.lesions[index])
        assert rows.size, "the strongest slice shows no bleed"
        away_mm = np.hypot(rows - peak[0], columns - peak[1]).min() * exam.pixel_mm
        assert away_mm <= 8.0

    def test_the_same_bits_in_another_order_and_from_an_engine_loaded_anew(
        self, scores: dict[int, SliceScore], exam: PhantomExam
    ) -> None:
        anew = load_engine(FOLDER)
        for index in np.random.default_rng(5).permutation(len(exam.hu)):
            again = read_slice(anew, exam.hu[index], geometry_of(exam, int(index)))
            assert bits(again) == bits(scores[int(index)])

    def test_the_same_bits_with_one_thread_and_with_two(self, exam: PhantomExam) -> None:
        one, two = load_engine(FOLDER, threads=1), load_engine(FOLDER, threads=2)
        for index in (4, 12, 20):
            place = geometry_of(exam, index)
            assert bits(read_slice(one, exam.hu[index], place)) == bits(read_slice(two, exam.hu[index], place))

    def test_answers_stay_when_the_engine_runs_again(self, engine: LoadedEngine) -> None:
        spec = engine.card.input
        image = np.random.default_rng(1).random((1, len(spec.windows), spec.size, spec.size), dtype=np.float32)
        first = engine.backend.run(image)
        kept = [array.copy() for array in (first.logits, first.embedding, first.heat)]
        engine.backend.run(1.0 - image)
        for array, copy in zip((first.logits, first.embedding, first.heat), kept, strict=True):
            assert np.array_equal(array, copy)

    def test_loading_an_engine_leaves_the_threads_arithmetic_alone(self) -> None:
        seen: list[float] = []

        def load_and_add() -> None:
            load_engine(FOLDER)
            seen.append(float(np.array([1e-310])[0] / np.array([2.0])[0]))

        thread = threading.Thread(target=load_and_add)
        thread.start()
        thread.join()
        assert seen == [5e-311]

    def test_preparing_a_slice_costs_at_most_ten_milliseconds(self, engine: LoadedEngine, exam: PhantomExam) -> None:
        took_ms = []
        for index in range(6, 26):
            pixel = (exam.pixel_mm, exam.pixel_mm)
            started_s = thread_time()
            prepare(exam.hu[index], pixel, find_anatomy(exam.hu[index], pixel), engine.card.input)
            took_ms.append((thread_time() - started_s) * 1000)
        print(f"preparing: median {np.median(took_ms):.1f} ms of one core, {exam.hu.shape[1]} pixels a side")
        assert np.median(took_ms) <= 10.0

    def test_a_picture_of_another_shape_than_its_header_is_a_fault(
        self, engine: LoadedEngine, exam: PhantomExam
    ) -> None:
        with pytest.raises(Fault) as caught:
            read_slice(engine, exam.hu[0][:100], geometry_of(exam, 0))
        assert caught.value.reason == "engine-fault"

    @pytest.mark.parametrize("value", [-1024, 0, 40, 3071, 32767, -32768])
    def test_a_picture_of_one_value_has_an_answer(self, engine: LoadedEngine, exam: PhantomExam, value: int) -> None:
        score = read_slice(engine, np.full(exam.hu.shape[1:], value, np.int16), geometry_of(exam, 0))
        assert np.isfinite(score.logits).all()
        assert not score.has_brain


class TestExam:
    def test_a_bleed_is_critical_early_and_at_the_end(
        self, engine: LoadedEngine, exam: PhantomExam, scores: dict[int, SliceScore]
    ) -> None:
        rows, points = as_rows(exam, scores), engine.card.points
        whole = read_exam(rows, engine.card)
        assert whole.slices == len(exam.hu)
        assert level_of(whole.probabilities[0], points) is Level.CRITICAL
        evidence = early_evidence(rows, points)
        assert evidence is not None
        finding = finding_of(rows, points, evidence)
        assert finding is not None
        assert exam.labels[finding.key_slice_id - 1, 0] == 1

    def test_the_same_head_without_its_bleed_is_not_critical(self, engine: LoadedEngine, exam: PhantomExam) -> None:
        clean = replace(exam, hu=exam.clean_hu)
        found = {n: read_slice(engine, clean.hu[n], geometry_of(clean, n)) for n in range(len(clean.hu))}
        rows, points = as_rows(clean, found), engine.card.points
        assert level_of(read_exam(rows, engine.card).probabilities[0], points) is not Level.CRITICAL
        assert early_evidence(rows, points) is None

    def test_a_hollow_head_is_nothing(self, engine: LoadedEngine, exam: PhantomExam) -> None:
        hollow = np.where((exam.hu > -200) & (exam.hu < 200), np.int16(-1000), exam.hu).astype(np.int16)
        found = {n: read_slice(engine, hollow[n], geometry_of(exam, n)) for n in range(8, 20)}
        assert not any(score.has_brain for score in found.values())
        assert read_exam(as_rows(exam, found), engine.card).probabilities == (0.0,) * len(LABELS)


# -- folders that must be refused ------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(FOLDER, tmp_path / "engine"))


def put(folder: Path, name: str, data: bytes) -> None:
    """Writes a file and makes the manifest vouch for it."""
    before = sha256((folder / name).read_bytes()).hexdigest()
    (folder / name).write_bytes(data)
    say(folder, before, sha256(data).hexdigest())


def say(folder: Path, before: str, after: str) -> None:
    """Changes one place of the manifest."""
    manifest = folder / "manifest.toml"
    text = manifest.read_text(encoding="utf-8")
    assert text.count(before) == 1, before
    manifest.write_text(text.replace(before, after), encoding="utf-8")


def line(folder: Path, key: str) -> str:
    """The line of the manifest that sets this key."""
    return next(
        one for one in (folder / "manifest.toml").read_text(encoding="utf-8").splitlines() if one.startswith(f"{key} =")
    )


def golden(folder: Path) -> dict[str, np.ndarray[tuple[int, ...], np.dtype[np.generic]]]:
    with np.load(folder / "golden.npz") as arrays:
        return dict(arrays)


def put_golden(folder: Path, **arrays: object) -> None:
    held = io.BytesIO()
    np.savez_compressed(held, **(golden(folder) | arrays))  # type: ignore[arg-type]
    put(folder, "golden.npz", held.getvalue())


def refused(folder: Path) -> EngineRefused:
    with pytest.raises(EngineRefused) as caught:
        load_engine(folder)
    return caught.value


class TestRefusals:
    def test_the_shipped_folder_is_whole(self) -> None:
        files = read_engine(FOLDER)
        backend = OnnxRuntimeBackend(files, 1)
        assert check_golden(files, backend) <= files.tolerance_logit
        assert len(files.model) <= 15 * 1024 * 1024
        assert len(files.golden) <= 1024 * 1024

    def test_no_folder(self, tmp_path: Path) -> None:
        said = refused(tmp_path / "nowhere")
        assert said.reason == "engine-fault"
        assert "There is no engine folder" in said.message
        assert "settings" in said.message

    @pytest.mark.parametrize("name", ["manifest.toml", "model.onnx", "golden.npz"])
    def test_a_missing_file(self, folder: Path, name: str) -> None:
        (folder / name).unlink()
        said = refused(folder)
        assert said.reason == "engine-fault"
        assert name in said.message
        assert "Put the whole engine folder back" in said.message

    @pytest.mark.parametrize("name", ["model.onnx", "golden.npz"])
    def test_one_changed_bit(self, folder: Path, name: str) -> None:
        data = bytearray((folder / name).read_bytes())
        data[len(data) // 2] ^= 1
        (folder / name).write_bytes(data)
        said = refused(folder)
        assert said.reason == "engine-changed"
        assert name in said.message

    @pytest.mark.parametrize("data", [b"\xff\xfe", b"schema_version = ", b""])
    def test_a_manifest_that_is_none(self, folder: Path, data: bytes) -> None:
        (folder / "manifest.toml").write_bytes(data)
        assert refused(folder).reason == "engine-fault"

    @pytest.mark.parametrize(
        ("key", "value", "named"),
        [
            ("schema_version", "2", "schema_version must be 1"),
            ("kind", '"volume"', "kind must be 'slice'"),
            ("role", '"second-reader"', "role must be 'reader'"),
            ("exam", '"chest_ct"', "exam must be 'head_ct'"),
            ("labels", '["any"]', "labels must be"),
            ("labels", "5", "labels must be"),
            ("name", '" "', "name must be a text"),
            ("opset", "18", "opset 17"),
            ("ages_years", "[120, 18]", "ages_years"),
            ("shape", "[1, 5, 224, 200]", "input.shape"),
            ("shape", "[2, 5, 224, 224]", "input.shape"),
            ("shape", "[1, 2, 224, 224]", "input.shape"),
            ("shape", "[1, 5, 256, 256]", "image"),
            ("windows", "[]", "input.windows must be a list of tables"),
            ("windows", "[{ center = 40, width = 0 }]", "input.windows[0].width"),
            ("spacing_mm", "0", "input.spacing_mm"),
            ("embedding_size", "63", "embedding"),
            ("heat_shape", "[6, 28, 28]", "outputs.heat_shape"),
            ("logits", '"heat"', "three different outputs"),
            ("logits", '"nothing"', "nothing"),
            ("scale", "[1, 1, 1]", "calibration.scale must be a list of 6 numbers"),
            ("scale", "[1, 1, 1, 1, 1, -1]", "calibration.scale must be above 0"),
            ("bias", "[0, 0, 0, 0, 0, nan]", "calibration.bias"),
            ("sharpness", "0", "exam_rule.sharpness"),
            ("smoothing_mm", "-1", "exam_rule.smoothing_mm"),
            ("critical", "nan", "points.critical"),
            ("critical", "1.0", "points.critical"),
            ("critical", "true", "points.critical"),
            ("critical", '"0.9"', "points.critical"),
            ("review", "0.99999999", "points.review must not lie above"),
            ("early_single", "0.0001", "points.early_pair must not lie above"),
            ("overlap", "0", "points.overlap must be above 0"),
            ("overlap", "2", "points.overlap"),
            ("neighbour_mm", "0", "points.neighbour_mm"),
            ("tolerance_logit", "inf", "golden.tolerance_logit"),
        ],
    )
    def test_a_manifest_that_says_what_cannot_be(self, folder: Path, key: str, value: str, named: str) -> None:
        say(folder, line(folder, key), f"{key} = {value}")
        said = refused(folder)
        assert said.reason == "engine-fault"
        assert named in said.message

    @pytest.mark.parametrize("key", ["critical", "scale", "shape", "tolerance_logit", "logits", "opset"])
    def test_a_key_that_is_missing(self, folder: Path, key: str) -> None:
        say(folder, line(folder, key), "")
        said = refused(folder)
        assert f"{key} is missing" in said.message

    def test_a_table_that_is_missing(self, folder: Path) -> None:
        say(folder, "[points]", "[other]")
        assert "points is missing" in refused(folder).message

    def test_a_name_that_leads_out_of_the_folder(self, folder: Path) -> None:
        say(folder, "[files]", f'[files]\n"../secret" = "{"0" * 64}"')
        assert "does not lie in the folder" in refused(folder).message

    def test_another_file_that_the_manifest_names_is_held_to_its_hash_too(self, folder: Path) -> None:
        (folder / "notes.txt").write_bytes(b"other")
        say(folder, "[files]", f'[files]\n"notes.txt" = "{sha256(b"notes").hexdigest()}"')
        assert refused(folder).reason == "engine-changed"

    @pytest.mark.parametrize(
        "data",
        [
            pytest.param(lambda model: b"", id="empty"),
            pytest.param(lambda model: b"no model at all", id="text"),
            pytest.param(lambda model: model[: len(model) // 2], id="half"),
            pytest.param(lambda model: b"\xff" * 100, id="a number without end"),
        ],
    )
    def test_a_model_that_is_none(self, folder: Path, data: Callable[[bytes], bytes]) -> None:
        put(folder, "model.onnx", data((folder / "model.onnx").read_bytes()))
        said = refused(folder)
        assert said.reason == "engine-fault"
        assert "ONNX" in said.message

    @pytest.mark.parametrize("field", [b"\x70\x01", b"\x6a\x0a\x0a\x08location"], ids=["place", "name"])
    def test_a_model_that_keeps_weights_elsewhere(self, folder: Path, field: bytes) -> None:
        # A graph is a message, and a second part of it is joined to the first: an initializer that lies outside.
        tensor = b"\x42\x01w" + field
        part = b"\x2a" + bytes([len(tensor)]) + tensor
        graph = b"\x3a" + bytes([len(part)]) + part
        put(folder, "model.onnx", (folder / "model.onnx").read_bytes() + graph)
        said = refused(folder)
        assert said.reason == "engine-fault"
        assert "weights in another file" in said.message

    def test_wrong_answers(self, folder: Path) -> None:
        put_golden(folder, logits=golden(folder)["logits"] + np.float32(0.5))  # type: ignore[operator]
        said = refused(folder)
        assert said.reason == "engine-golden-failed"
        assert "0.5 off" in said.message

    def test_a_wrong_heat_map(self, folder: Path) -> None:
        put_golden(folder, heat_sums=golden(folder)["heat_sums"] + np.float32(3136))  # type: ignore[operator]
        assert refused(folder).reason == "engine-golden-failed"

    def test_one_wrong_picture_among_right_ones(self, folder: Path) -> None:
        crops = golden(folder)["hu"].copy()
        crops[-1] = 0
        put_golden(folder, hu=crops)
        assert refused(folder).reason == "engine-golden-failed"

    @pytest.mark.parametrize(
        ("name", "change"),
        [
            ("hu", lambda hu: hu[:0]),
            ("hu", lambda hu: hu[:, :100]),
            ("hu", lambda hu: hu.astype(np.float32)),
            ("logits", lambda logits: logits[:, :5]),
            ("logits", lambda logits: logits[:-1]),
            ("logits", lambda logits: np.full_like(logits, np.nan)),
            ("heat_sums", lambda sums: sums[:, :1]),
        ],
    )
    def test_a_golden_test_that_is_none(self, folder: Path, name: str, change: Callable[..., object]) -> None:
        put_golden(folder, **{name: change(golden(folder)[name])})
        said = refused(folder)
        assert said.reason == "engine-fault"
        assert "golden.npz" in said.message

    @pytest.mark.parametrize("data", [b"", b"PK\x03\x04 cut off", b"not a zip"])
    def test_golden_answers_that_cannot_be_read(self, folder: Path, data: bytes) -> None:
        put(folder, "golden.npz", data)
        said = refused(folder)
        assert said.reason == "engine-fault"
        assert "golden.npz cannot be read" in said.message

    def test_a_backend_that_answers_with_no_number_is_a_fault(self, engine: LoadedEngine) -> None:
        spec = engine.card.input
        image = np.full((1, len(spec.windows), spec.size, spec.size), np.nan, dtype=np.float32)
        with pytest.raises(Fault, match="no number"):
            engine.backend.run(image)

    def test_a_backend_that_is_given_another_shape_is_a_fault(self, engine: LoadedEngine) -> None:
        with pytest.raises(Fault) as caught:
            engine.backend.run(np.zeros((1, 1, 8, 8), dtype=np.float32))
        assert caught.value.reason == "engine-fault"

    def test_a_backend_that_fails_the_golden_test_says_so(self) -> None:
        class Silent:
            name = "silent"
            max_batch = 1

            def run_many(self, images: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> list[Answer]:
                return [self.run(images)]

            def run(self, image: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> Answer:
                raise Fault("engine-fault", "the engine did not answer")

            def close(self) -> None: ...

        with pytest.raises(EngineRefused, match="no answer to its test pictures"):
            check_golden(read_engine(FOLDER), Silent())


def test_settings_are_compared_within_one_run() -> None:
    random, files = np.random.default_rng(0), read_engine(FOLDER)
    blocks = compare(files, rounds=2, runs=3, pause_s=0.0, random=random, done=lambda: None)
    rows = {str(row["setting"]): row for row in figures(blocks)}
    assert set(rows) == {setting.said for setting in SETTINGS}
    assert rows[BASE.said]["wall_ratio_median"] == 1.0
    assert all(0 < float(row["least_ms"]) <= float(row["wall_ms"]) for row in rows.values())
