"""What we may fail at: a reader that dies, an engine that does not answer, a store that has lost a picture."""

import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from appliance.core.alerts import AlertState
from appliance.core.errors import Fault
from appliance.core.words import Level, Outcome, StudyState
from appliance.inference.backend import Answer, Backend
from appliance.inference.loading import LoadedEngine
from appliance.inference.manifest import read_engine
from appliance.inference.onnxruntime_backend import OnnxRuntimeBackend
from appliance.intake.reader_pool import ReaderPool
from tests.conftest import MakeBox
from tests.dicoms import ROOT, file_of, slice_of
from tests.phantom_exams import SLICES, series_files
from tests.real.appliance import CALM, ENGINE, Box, Clock, with_points

CHILD = "appliance.intake.reader_child"


# -- readers -----------------------------------------------------------------------------------------


def readers_of_ours() -> list[int]:
    """The processes that read files for this one."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = (folder / "stat").read_text().rpartition(")")[2].split()[1]
            command = (folder / "cmdline").read_bytes()
        except OSError:
            continue
        if int(parent) == os.getpid() and CHILD.encode() in command:
            found.append(int(folder.name))
    return found


def kill_the_reader_of(box: Box, pool: ReaderPool, others: set[int]) -> None:
    """The next reader gets the file, and dies with it in its hands."""
    while not pool.ready:
        pool.wait(10.0)  # it has something to say: that it is ready. From now on it does nothing more
        mine = set(readers_of_ours()) - others
        for pid in mine:
            os.kill(pid, signal.SIGSTOP)
        box.tick()
    box.tick()
    assert pool.busy == 1
    for pid in set(readers_of_ours()) - others:
        os.kill(pid, signal.SIGKILL)
    while pool.ready:
        pool.wait(10.0)
        box.tick()


def test_a_file_that_kills_its_reader_twice_is_held_back(
    tmp_path: Path, migrated: Path, head_engine: LoadedEngine, readers: ReaderPool, clock: Clock
) -> None:
    others = set(readers_of_ours())
    with ReaderPool(clock.now().monotonic_s, readers=1) as pool:
        box = Box(tmp_path / "box", migrated=migrated, engine=head_engine, readers=pool, clock=clock, start=False)
        box.put("killer", file_of(slice_of()))
        box.start()
        box.tick()
        clock.move(2.5)
        kill_the_reader_of(box, pool, others)
        assert box.sums() == {}, "once may be chance"
        kill_the_reader_of(box, pool, others)
        box.tick()
        (file,) = box.files()
        assert (file.verdict, file.reason, file.attempts) == ("POISON", "killed-its-reader", 2)
        (alert,) = box.alerts("technical")
        assert (alert.key.first, alert.level, alert.sounds) == ("poison-file", Level.TECHNICAL, True)

        box.put("next", file_of(slice_of(SOPInstanceUID=ROOT + "1.2")))
        box.rest()
        assert box.sums() == {"POISON": 1, "TAKEN": 1}
        box.pass_time(600)
        assert box.in_inbox() == []
        assert box.set_aside() == [file_of(slice_of())]
        box.close()


# -- the engine --------------------------------------------------------------------------------------


@dataclass
class Changeable:
    """A backend that can be put in the place of another one while the box runs."""

    within: Backend

    @property
    def name(self) -> str:
        return self.within.name

    @property
    def max_batch(self) -> int:
        return self.within.max_batch

    def run(self, image: NDArray[np.float32]) -> Answer:
        return self.within.run(image)

    def run_many(self, images: NDArray[np.float32]) -> list[Answer]:
        return self.within.run_many(images)

    def close(self) -> None:
        self.within.close()


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OnnxRuntimeBackend]:
    """The same network with a hole in its weights: it runs, and what it answers is no number."""
    folder = tmp_path_factory.mktemp("broken")
    model = bytearray((ENGINE / "model.onnx").read_bytes())
    middle = len(model) // 2
    sound = sha256(model).hexdigest()
    model[middle : middle + 64] = b"\xff" * 64
    (folder / "model.onnx").write_bytes(model)
    (folder / "golden.npz").write_bytes((ENGINE / "golden.npz").read_bytes())
    manifest = (ENGINE / "manifest.toml").read_text()
    assert sound in manifest
    (folder / "manifest.toml").write_text(manifest.replace(sound, sha256(model).hexdigest()))
    backend = OnnxRuntimeBackend(read_engine(folder), 1)
    yield backend
    backend.close()


def changeable(engine: LoadedEngine, broken: Backend) -> tuple[LoadedEngine, Changeable]:
    backend = Changeable(broken)
    return with_points(replace(engine, backend=backend), CALM), backend


def test_the_broken_engine_is_broken(broken: OnnxRuntimeBackend, head_engine: LoadedEngine) -> None:
    spec = head_engine.card.input
    image = np.full((1, len(spec.windows), spec.size, spec.size), 0.5, np.float32)
    with pytest.raises(Fault, match="no number"):
        broken.run(image)


def test_a_study_that_the_engine_does_not_answer_for(
    make_box: MakeBox, head_engine: LoadedEngine, broken: OnnxRuntimeBackend
) -> None:
    engine, backend = changeable(head_engine, broken)
    box = make_box(engine=engine)
    for file in series_files("fault", bleeding=False)[::2]:
        box.put(f"IM{file.number}", file.data)
    box.pass_time_until(lambda: bool(box.studies()) and box.study().outcome is not None, at_most_s=200)
    study = box.study()
    assert (study.outcome, study.state) == (Outcome.INDETERMINATE, StudyState.OPEN)
    (fault,) = (details for code, details in study.reasons if code == "engine-fault")
    assert int(fault["n"]) == 3
    (alert,) = box.alerts("technical")
    assert (alert.key.first, alert.state) == ("engine-fault", AlertState.FAULT_UNSEEN)

    backend.within = head_engine.backend
    box.rest()
    assert (box.study().outcome, box.study().state) == (Outcome.NO_FINDING, StudyState.CLOSED)
    (alert,) = box.alerts("technical")
    assert alert.state is AlertState.MENDED
    assert [(one.revision, one.slices) for one in box.readings(box.series()[0])] == [(1, 0), (2, SLICES // 2)]
    box.assert_sound()


def test_an_engine_that_never_answers_leaves_no_study_open_for_ever(
    make_box: MakeBox, head_engine: LoadedEngine, broken: OnnxRuntimeBackend
) -> None:
    engine, backend = changeable(head_engine, broken)
    box = make_box(engine=engine)
    for file in series_files("never", bleeding=False)[::2]:
        box.put(f"IM{file.number}", file.data)
    box.rest(at_most_s=900)
    assert (box.study().outcome, box.study().state) == (Outcome.INDETERMINATE, StudyState.CLOSED)
    assert len(box.alerts("technical")) == 1

    backend.within = head_engine.backend
    box.put("late", series_files("never", bleeding=False)[1].data)
    box.rest()
    assert [row.score is not None for row in box.slices()] == [True] * (SLICES // 2 + 1)
    assert box.study().outcome is Outcome.NO_FINDING


def test_one_answer_too_few_is_asked_for_again(
    make_box: MakeBox, head_engine: LoadedEngine, broken: OnnxRuntimeBackend
) -> None:
    engine, backend = changeable(head_engine, broken)
    box = make_box(engine=engine)
    for file in series_files("once", bleeding=False)[::2]:
        box.put(f"IM{file.number}", file.data)
    box.pass_time_until(lambda: bool(box.alerts("technical")))
    backend.within = head_engine.backend
    box.rest()
    assert box.study().outcome is Outcome.NO_FINDING
    assert [one.revision for one in box.readings(box.series()[0])] == [1]


# -- the store ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("lost", ["values", "values and files"])
def test_pictures_lost_from_the_store(
    make_box: MakeBox, head_engine: LoadedEngine, broken: OnnxRuntimeBackend, lost: str
) -> None:
    """Values are made again from the file. Where the file is gone too, the study says so, and the loop goes on."""
    engine, _ = changeable(head_engine, broken)
    files = series_files("lost", bleeding=False)[::2]
    box = make_box(engine=engine)
    for file in files:
        box.put(f"IM{file.number}", file.data)
    box.pass_time_until(lambda: len(box.slices()) == len(files))
    box.stop()
    store = box.settings.store_folder
    for row in box.slices()[:3]:
        values = (store / row.stored).with_suffix(".npy")
        values.write_bytes(values.read_bytes()[:100])
        if lost == "values and files":
            (store / row.stored).unlink()
    box.engine = with_points(head_engine, CALM)
    box.restart()
    box.rest(at_most_s=900)
    if lost == "values":
        assert box.study().outcome is Outcome.NO_FINDING
        assert all(row.score is not None for row in box.slices())
    else:
        assert box.study().outcome is not Outcome.NO_FINDING
        assert "engine-fault" in [code for code, _ in box.study().reasons]
        assert sum(row.score is None for row in box.slices()) == 3
