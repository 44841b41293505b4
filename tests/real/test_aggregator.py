"""The learned aggregator of an engine: trained on invented exams, written, loaded, read with, refused; exams to learn from."""

import shutil
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from appliance.core.aggregator import Aggregator, aggregate
from appliance.evaluation.calibration import calibration_of
from appliance.inference.aggregator_file import AGGREGATOR, aggregator_bytes
from appliance.inference.loading import load_engine
from appliance.inference.manifest import EngineRefused, read_engine
from appliance.reading.exam_reader import read_exam
from appliance.training.aggregator import Compared, compare, is_better, learn, proven
from appliance.training.aggregator_network import AggregatorNetwork, pack
from appliance.training.exam_lessons import Lessons, lessons
from appliance.training.exam_variants import drawn, upside_down, whole
from appliance.training.scored_exams import ScoredExam, read_scored, truth_of, write_scored
from appliance.training.sources.exam import SourceExam, Tell
from tests.scored import CARD, blob, scored
from tests.training_scenes import small_head

FOLDER = Path(__file__).parents[2] / "engines" / "head-ct"
RULE = calibration_of(CARD)


def invented(seed: int, *, bleeds: bool) -> ScoredExam:
    """Cold slices among which two neighbours show one bleed, or a lone one looks like a stronger."""
    rng = np.random.default_rng(seed)
    chances = rng.uniform(0.02, 0.2, 24)
    heats = [blob(*rng.integers(8, 48, 2), value=60) for _ in chances]
    at, place = int(rng.integers(3, 20)), rng.integers(12, 44, 2)
    chances[at : at + 1 + bleeds] = rng.uniform(0.7, 0.9) if bleeds else rng.uniform(0.9, 0.995)
    for k in range(at, at + 1 + bleeds):
        heats[k] = blob(*place, half=3)
    truth = np.zeros((24, 6), np.int8)
    truth[at : at + 2, :2] = int(bleeds)
    rows = tuple(
        scored(k + 1, 5.0 * k, float(chance), heat=heats[k], kinds=(float(chance), 0.05, 0.05, 0.05, 0.05))
        for k, chance in enumerate(chances)
    )
    return ScoredExam(kind="synthetic", patient=seed, rows=rows, truth=truth)


def exams(first: int, count: int) -> list[ScoredExam]:
    return [invented(seed, bleeds=seed % 2 == 0) for seed in range(first, first + count)]


@pytest.fixture(scope="module")
def learned() -> Aggregator:
    return learn(exams(0, 48), RULE, epochs=40, seed=0)


class TestLearning:
    def test_a_lone_hot_slice_is_no_bleed_and_two_that_agree_are(self, learned: Aggregator) -> None:
        (found,) = compare(exams(1000, 60), RULE, learned)
        assert found.auc[0] < 0.8
        assert found.auc[1] > 0.97
        assert found.specificity[1] > 0.8
        said: list[str] = []
        assert proven(learned, exams(1000, 60), RULE, said.append) is learned
        assert "exam AUC" in said[0]

    def test_the_same_exams_and_seed_give_the_same_weights(self) -> None:
        one, again = (learn(exams(0, 8), RULE, epochs=3, seed=3) for _ in range(2))
        assert aggregator_bytes(one) == aggregator_bytes(again)

    def test_nothing_is_kept_that_brings_nothing(self, learned: Aggregator) -> None:
        turned = [replace(one, truth=(1 - one.truth).astype(np.int8)) for one in exams(1000, 30)]
        said: list[str] = []
        assert proven(learned, turned, RULE, said.append) is None
        assert "plain rule stands" in said[-1]
        assert proven(learned, [], RULE) is None

    def test_a_gain_must_not_cost_one_group_much_and_few_exams_decide_nothing(self) -> None:
        def seen(auc: tuple[float, float], count: int = 30) -> Compared:
            return Compared(group="x", bleeding=count, clean=30, auc=auc, specificity=(0.5, 0.5))

        assert is_better([seen((0.8, 0.9)), seen((0.8, 0.8))])
        assert not is_better([seen((0.8, 0.9)), seen((0.9, 0.8))])
        assert not is_better([seen((0.8, 0.801))])
        assert not is_better([seen((0.8, 0.9), 14)])
        assert is_better([seen((0.8, 0.9)), seen((0.9, 0.5), 14)])

    def test_too_few_patients(self) -> None:
        with pytest.raises(ValueError, match="at least 4 patients"):
            learn(exams(0, 3), RULE, epochs=3, seed=0)

    def test_the_network_says_what_the_appliance_says(self, learned: Aggregator) -> None:
        rng = np.random.default_rng(5)
        variants = [one for exam in exams(0, 12) if (one := drawn(rng, exam, RULE.neighbour_mm)) is not None]
        rng_embedded = [
            replace(one, around=replace(one.around, embedding=rng.normal(0, 1, one.around.embedding.shape)))
            for one in variants
        ]
        network = AggregatorNetwork(RULE, rng.normal(0, 1, (50, 64)), seed=1)
        for name, value in network.named_parameters():
            value.data = value.data + 0.1 * rng.random() if name != "width_power" else value.data + 0.5
        network.eval()
        said = network(pack(rng_embedded, RULE)).detach().numpy()
        weights, scale, bias = network.aggregator(), np.array(RULE.scale), np.array(RULE.bias)
        own = np.stack([aggregate(weights, scale * one.logits + bias, one.around) for one in rng_embedded])
        assert said == pytest.approx(own, abs=2e-3)


class TestVariants:
    def test_some_slices_tell_of_these_slices_alone(self) -> None:
        exam, rng = invented(2, bleeds=True), np.random.default_rng(0)
        variants = [drawn(rng, exam, 10.0) for _ in range(200)]
        counts = {len(one.logits) for one in variants if one is not None}
        truths = {int(one.truth[0]) for one in variants if one is not None}
        assert min(counts) < 4 and max(counts) == 24
        assert truths == {0, 1}

    def test_upside_down_twice_is_as_it_was(self) -> None:
        one = whole(invented(2, bleeds=True), 10.0)
        assert one is not None
        turned = upside_down(one)
        assert not np.array_equal(turned.logits, one.logits)
        assert turned.around.positions_mm.tolist() == sorted(turned.around.positions_mm)
        again = upside_down(turned)
        for name in ("positions_mm", "seen", "context", "embedding"):
            assert getattr(again.around, name) == pytest.approx(getattr(one.around, name))

    def test_an_exam_lacks_what_all_its_slices_lack(self) -> None:
        said = truth_of(np.array([[0, 1, -1, 0], [0, -1, -1, -1]], np.int8))
        assert said.tolist() == [0, 1, -1, -1]


class OneHead:
    """A source of one clean head."""

    size = 1

    def exams(self, tell: Tell = lambda _: None) -> Any:
        head = small_head(1)
        yield SourceExam(
            source="one",
            patient="p",
            exam="e",
            hu=head.clean_hu,
            pixel_mm=(head.pixel_mm, head.pixel_mm),
            positions_mm=head.positions_mm,
            labels=np.zeros((len(head.hu), 6), np.int8),
            boxes=((),) * len(head.hu),
            masks=None,
        )


def test_exams_to_learn_from_are_made_once(tmp_path: Path) -> None:
    wanted = Lessons(
        sources={"one": OneHead()}, pastings=3, mimic_share=1.0, heads=0, first_seed=0, seed=0, folder=tmp_path
    )
    made = lessons(load_engine(FOLDER, threads=1), wanted)
    kinds = [one.kind for one in made]
    assert kinds.count("real") == 1 and kinds.count("pasted") >= 2
    bled = [one for one in made if (one.truth[:, 0] == 1).any()]
    assert bled and all(one.kind == "pasted" for one in bled)
    assert len({one.patient for one in made}) == 1
    for one in made:  # what no lesion reached is as it was read first
        same = (one.truth == 0).all(axis=1)
        assert any(
            np.array_equal(a.score.logits, b.score.logits)
            for a, b, free in zip(one.rows, made[0].rows, same, strict=True)
            if free and a.score and b.score
        )
    again = lessons(None, wanted)  # type: ignore[arg-type]  # no engine is asked again
    assert [one.truth.tobytes() for one in again] == [one.truth.tobytes() for one in made]


def test_a_scored_exam_is_kept_as_it_was(tmp_path: Path, learned: Aggregator) -> None:
    exam = invented(4, bleeds=True)
    write_scored(tmp_path / "one.npz", exam)
    found = read_scored(tmp_path / "one.npz")
    assert (found.kind, found.patient) == (exam.kind, exam.patient)
    card = replace(CARD, aggregator=learned)
    assert read_exam(found.rows, card) == read_exam(exam.rows, card)


class TestLoading:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        return Path(shutil.copytree(FOLDER, tmp_path / "engine"))

    def test_the_engine_reads_by_it(self, folder: Path, learned: Aggregator) -> None:
        assert read_engine(folder).card.aggregator is None
        give(folder, aggregator_bytes(learned))
        card = read_engine(folder).card
        assert card.aggregator is not None
        assert aggregator_bytes(card.aggregator) == aggregator_bytes(learned)
        rows = invented(6, bleeds=True).rows
        assert read_exam(rows, card) != read_exam(rows, replace(card, aggregator=None))
        load_engine(folder, threads=1).backend.close()

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            ({"from_evidence": -np.ones((33, 16))}, "from_evidence must not be below 0"),
            ({"correct": -np.ones((16, 6))}, "correct must not be below 0"),
            ({"correct": np.ones((16, 5))}, "correct must be [16, 6]"),
            ({"mean": np.zeros(63)}, "mean must be [64]"),
            ({"sharpen": np.full(6, 9.0)}, "sharpen must lie within"),
            ({"offset": np.full(6, np.nan)}, "offset must be finite"),
            ({"scale": np.zeros(6)}, "scale must be above 0"),
            ({"sharpness": 0.0}, "sharpness must be above 0"),
            ({"smoothing_mm": -1.0}, "smoothing_mm must not be below 0"),
            ({"width_power": 2.0}, "width_power must lie from 0 to 1"),
            ({"hidden_bias": np.zeros(0)}, "its layers must have"),
        ],
    )
    def test_weights_that_cannot_be(self, folder: Path, learned: Aggregator, change: dict[str, Any], said: str) -> None:
        give(folder, aggregator_bytes(replace(learned, **change)))
        fault = refused(folder)
        assert fault.reason == "engine-fault" and said in fault.message

    def test_a_file_that_is_none(self, folder: Path) -> None:
        give(folder, b"no archive")
        assert "holds no aggregator" in refused(folder).message

    def test_a_correction_beyond_what_the_appliance_lets_pass(self, folder: Path, learned: Aggregator) -> None:
        give(folder, aggregator_bytes(learned), table="[aggregator]\ncorrection_most = 5\n")
        assert "correction_most must not be above 3" in refused(folder).message

    def test_a_file_without_its_table_and_one_that_was_changed(self, folder: Path, learned: Aggregator) -> None:
        give(folder, aggregator_bytes(learned), table="")
        assert "go together" in refused(folder).message
        manifest = folder / "manifest.toml"
        manifest.write_text(manifest.read_text() + "[aggregator]\ncorrection_most = 3\n")
        assert read_engine(folder).card.aggregator is not None
        (folder / AGGREGATOR).write_bytes(b"other")
        assert refused(folder).reason == "engine-changed"


def give(folder: Path, held: bytes, table: str = "[aggregator]\ncorrection_most = 3\n") -> None:
    """Puts the file into the folder and into its manifest."""
    (folder / AGGREGATOR).write_bytes(held)
    manifest = folder / "manifest.toml"
    line = f'[files]\n"{AGGREGATOR}" = "{sha256(held).hexdigest()}"\n'
    manifest.write_text(manifest.read_text().replace("[files]\n", line) + "\n" + table, encoding="utf-8")


def refused(folder: Path) -> EngineRefused:
    with pytest.raises(EngineRefused) as caught:
        read_engine(folder)
    return caught.value
