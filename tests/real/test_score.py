"""`bleedwatch score`: the code of the box on files by hand, and the same answer as the box gives."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from appliance.core.errors import Fault
from appliance.core.words import LABELS, Outcome, SeriesVerdict
from appliance.inference.backend import Answer, Backend
from appliance.inference.loading import LoadedEngine
from appliance.operations.score import Score, as_document, score_files
from appliance.phantoms.dicom import PhantomFile, exam_files
from tests.phantom_exams import series_files, small_exam, study_of
from tests.real.appliance import CALM, with_points


@dataclass(slots=True)
class FailsOnce:
    """The real backend, which gives no answer to its n-th picture."""

    backend: Backend
    fails_at: int
    asked: int = 0

    @property
    def name(self) -> str:
        return self.backend.name

    @property
    def max_batch(self) -> int:
        return self.backend.max_batch

    def run_many(self, images: NDArray[np.float32]) -> list[Answer]:
        return [self.run(image[None]) for image in images]

    def run(self, image: NDArray[np.float32]) -> Answer:
        self.asked += 1
        if self.asked == self.fails_at:
            raise Fault("engine-fault", "the engine did not answer")
        return self.backend.run(image)

    def close(self) -> None:
        self.backend.close()


def on_disk(folder: Path, files: Sequence[PhantomFile]) -> list[Path]:
    paths = [folder / f"IM-{n:04d}.dcm" for n in range(len(files))]
    for path, file in zip(paths, files, strict=True):
        path.write_bytes(file.data)
    return paths


def only_outcome(found: Score) -> tuple[Outcome, list[str]]:
    ((outcome, reasons),) = found.studies().values()
    return outcome, [code for code, _ in reasons]


def test_slices_from_before_a_header_that_makes_the_series_read_are_scored_too(
    tmp_path: Path, head_engine: LoadedEngine
) -> None:
    calm = with_points(head_engine, CALM)
    plain = series_files("late", bleeding=False)
    sharp = exam_files(small_exam(), study_of("late"), clean=True, kernel="H70h")
    assert [one.sop_uid for one in sharp] == [one.sop_uid for one in plain]
    found = score_files(on_disk(tmp_path, [*sharp[:4], *plain[4:]]), calm)
    (series,) = found.series.values()
    assert series.verdict is SeriesVerdict.READ
    assert only_outcome(found) == (Outcome.NO_FINDING, ["none-flagged"])
    (document,) = as_document(found)["series"]
    assert len(document["slices"]) == len(plain)
    whole = score_files(on_disk(tmp_path, plain), calm)
    (expected,) = as_document(whole)["series"]
    assert [document[label] for label in LABELS] == [expected[label] for label in LABELS]


def test_a_scan_that_ends_inside_the_brain_is_no_scan_without_a_finding(
    tmp_path: Path, head_engine: LoadedEngine
) -> None:
    calm = with_points(head_engine, CALM)
    plain = series_files("late", bleeding=False)
    found = score_files(on_disk(tmp_path, plain[: len(plain) * 3 // 5]), calm)
    assert only_outcome(found) == (Outcome.INCOMPLETE, ["part-of-brain"])


def test_an_engine_without_an_answer_leaves_one_slice_unscored_and_the_run_goes_on(
    tmp_path: Path, head_engine: LoadedEngine
) -> None:
    calm = with_points(head_engine, CALM)
    once = replace(calm, backend=FailsOnce(backend=head_engine.backend, fails_at=9))
    files = series_files("fault", bleeding=False)
    found = score_files(on_disk(tmp_path, files), once)
    assert only_outcome(found) == (Outcome.INDETERMINATE, ["engine-fault"])
    (document,) = as_document(found)["series"]
    assert len(document["slices"]) == len(files) - 1
