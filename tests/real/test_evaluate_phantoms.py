"""`bleedwatch evaluate --phantoms`: drawn patients by the road of all others, the same whoever draws them, gone on Ctrl-C."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from appliance.core.errors import CannotStart
from appliance.evaluation.answers import ExamAnswer, ImageAnswer
from appliance.evaluation.command import Wish, run_evaluate
from appliance.evaluation.document import Run, summary_of
from appliance.evaluation.drawn_patients import Drawn, DrawnPatients
from appliance.evaluation.page import page_of
from appliance.evaluation.rendering import Order, rendered
from appliance.evaluation.table import show
from appliance.inference.loading import LoadedEngine
from appliance.phantoms.exam import HELD_OUT_SEED
from appliance.phantoms.unseen import Unseen
from appliance.reading.slice_reader import read_slice
from tests.real.appliance import ENGINE

FIRST = HELD_OUT_SEED + 2  # one bleed below 5 mL, one far above
Answers = tuple[list[ImageAnswer], list[ExamAnswer]]


def answers_of(source: DrawnPatients, engine: LoadedEngine) -> Answers:
    found = list(source.answers(engine, lambda _: None))
    return [one for one in found if isinstance(one, ImageAnswer)], [one for one in found if isinstance(one, ExamAnswer)]


@pytest.fixture(scope="module")
def source() -> DrawnPatients:
    return DrawnPatients(Drawn(count=2, first_seed=FIRST), processes=2)


@pytest.fixture(scope="module")
def found(source: DrawnPatients, head_engine: LoadedEngine) -> Answers:
    return answers_of(source, head_engine)


@pytest.fixture(scope="module")
def summary(source: DrawnPatients, found: Answers, head_engine: LoadedEngine) -> dict[str, Any]:
    run = Run(card=head_engine.card, backend="", source="phantoms", took_s=1.0, drawn=source.said)
    return summary_of(*found, run)


def test_each_patient_is_read_with_the_bleed_and_without(found: Answers) -> None:
    images, exams = found
    names = [f"phantom-{seed}{twin}" for seed in (FIRST, FIRST + 1) for twin in ("", "-twin")]
    assert [one.stack for one in exams] == list(dict.fromkeys(one.path for one in images)) == names
    assert [one.number for one in images] == list(range(len(images)))
    assert not any(one.error for one in images)
    for bled, twin in zip(exams[::2], exams[1::2], strict=True):
        assert bled.truth[0] is True and set(twin.truth) == {False}
        assert bled.groups == twin.groups and bled.slices == twin.slices
    for one in images:
        # What bleeds is marked, and nothing else; what is too faint for an eye is not known.
        assert (one.place is not None) == (one.dice is not None) == (one.truth[0] is True)
        assert "twin" not in one.path or set(one.truth) == {False}
    assert any(one.truth[0] is False for one in images if "twin" not in one.path)


def test_bleed_free_patients_drawn_by_one_process_are_the_twins_that_two_have_drawn(
    found: Answers, head_engine: LoadedEngine
) -> None:
    def answers(images: list[ImageAnswer]) -> list[object]:
        return [(one.path, one.slice_index, one.truth, one.probabilities, one.peak_xy) for one in images]

    alone = DrawnPatients(Drawn(count=2, first_seed=FIRST, bleed_free=True), processes=1)
    images, exams = answers_of(alone, head_engine)
    assert answers(images) == answers([one for one in found[0] if "twin" in one.path])
    assert [(one.probabilities, one.outcome) for one in exams] == [
        (one.probabilities, one.outcome) for one in found[1] if "twin" in one.stack
    ]
    assert (alone.size, len(exams)) == (2, 2)


def test_the_same_patients_are_read_with_what_training_never_draws_and_it_is_said(
    found: Answers, head_engine: LoadedEngine
) -> None:
    strange = DrawnPatients(Drawn(count=2, first_seed=FIRST, unseen=Unseen.ACQUISITION), processes=2)
    images, exams = answers_of(strange, head_engine)
    assert "plain, unseen acquisition" in strange.said
    for one, before in zip(exams, found[1], strict=True):
        assert (one.stack, one.slices) == (before.stack, before.slices)
        assert one.groups["drawn"] == "plain, unseen acquisition" and one.groups["bleed"] == before.groups["bleed"]
        assert one.probabilities != before.probabilities
    assert not any(one.error for one in images)


def test_early_alerts_are_told_for_bleeds_of_5_ml_and_more(found: Answers, summary: dict[str, Any]) -> None:
    parts = {(one["column"], one["value"]): one for one in summary["subgroups"]}
    assert {column for column, _ in parts} == {"bleed", "volume_ml", "volume", "thickness_mm", "head", "drawn"}
    assert parts["head", "by formula"]["bleeding"] == parts["drawn", "plain"]["bleed_free"] == 2
    large = [one for one in found[1] if float(one.groups["volume_ml"]) >= 5]
    early = parts["volume", "5 mL and more"]["early"]
    assert 0 < len(large) < len(found[1])
    assert early["fired_before_last"]["n"] == early["false"]["n"] == len(large) // 2
    assert early["fired_before_last"]["hits"] == sum(
        one.early_after is not None and one.early_after < one.early_of for one in large if one.truth[0]
    )
    both = [parts["volume", name]["early"] for name in ("5 mL and more", "below 5 mL")]
    assert sum(one["false"]["n"] for one in both) == summary["early"]["false"]["n"] == 2


def test_the_table_and_the_page_say_who_was_drawn_and_show_the_parts(
    summary: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    show(summary, Console(width=200))
    table, page = capsys.readouterr().out, page_of(summary, {"false_alarms": [], "misses": []})
    bound = "0 of 1, at most 95.0 %"  # as many as one exam can prove
    for said in (f"2 drawn patients, seeds {FIRST} to {FIRST + 1}, plain, heads by formula", "5 mL and more", bound):
        assert said in table
        assert said in page


def test_what_is_shown_again_is_what_was_read(source: DrawnPatients, found: Answers, head_engine: LoadedEngine) -> None:
    wanted = [one for one in found[0] if one.patient == str(FIRST) and one.slice_index == 12]
    shown = {one.number: one for one in source.pictures(wanted)}
    assert shown.keys() == {one.number for one in wanted} and len(wanted) == 2
    for one in wanted:
        again = read_slice(head_engine, shown[one.number].hu, shown[one.number].geometry)
        assert again.probabilities == one.probabilities


@pytest.mark.parametrize(
    ("wished", "said"),
    [
        ({"phantoms": 3, "seed": HELD_OUT_SEED - 1}, "may have been trained on.*--seed from 1000000 on"),
        ({"phantoms": 3, "seed": 2 * HELD_OUT_SEED - 2}, "may have set points.*end below 2000000"),
        ({"phantoms": 0}, "above 0"),
        ({"phantoms": 3, "manifest": Path("rows.csv")}, "Name one of"),
        ({"phantoms": 3, "data": Path()}, "Name one of"),
        ({"data": Path(), "hard": True}, "go with --phantoms"),
        ({"data": Path(), "unseen": "tissue"}, "go with --phantoms"),
        ({"data": Path(), "seed": HELD_OUT_SEED}, "go with --phantoms"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_words(wished: dict[str, Any], said: str) -> None:
    with pytest.raises(CannotStart, match=said):
        run_evaluate(Wish(engine=ENGINE, **wished))


def test_a_label_map_that_is_none_stops_the_run_in_words(tmp_path: Path) -> None:
    (tmp_path / "head.nii").write_bytes(b"no head")
    order = Order(seed=HELD_OUT_SEED, label_map=tmp_path / "head.nii", hard=False, bleeding=False)
    with pytest.raises(CannotStart, match="not a NIfTI"), rendered([order], 1) as exams:
        next(exams)


def test_a_drawing_process_that_is_killed_stops_the_run_in_words() -> None:
    order = Order(seed=HELD_OUT_SEED, label_map=None, hard=False, bleeding=False)
    with pytest.raises(CannotStart, match="was killed"), rendered([order], 1) as exams:
        (child,) = drawing_soon(os.getpid())
        os.kill(child, signal.SIGKILL)
        next(exams)


def test_ctrl_c_ends_it_at_once_with_all_that_draw() -> None:
    words = ["evaluate", str(ENGINE), "--phantoms", "50", "--hard"]
    program = subprocess.Popen(
        # A shell that starts us in the background would have us ignore Ctrl-C.
        [sys.executable, "-c", "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
         f"from appliance.cli import main; sys.argv[1:] = {words!r}; main()"],
        start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        children = drawing_soon(program.pid)
        os.killpg(program.pid, signal.SIGINT)
        assert program.wait(10) != 0
        assert not any(is_alive(child) for child in children)
    finally:
        program.kill()
        program.wait()


def drawing(pid: int) -> list[int]:
    """The processes that draw for this one."""
    return [
        int(child)
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()
    ]


def drawing_soon(pid: int) -> list[int]:
    """The same, once there are any."""
    end_s = time.monotonic() + 60
    while not (children := drawing(pid)):
        assert time.monotonic() < end_s, "nobody draws"
        time.sleep(0.05)
    return children


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
