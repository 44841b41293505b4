"""One small phantom exam for tests, as large as the demo's but at half its matrix, rendered once a session."""

from functools import cache

from appliance.phantoms.bleeds import Bleed
from appliance.phantoms.dicom import PhantomFile, Study, exam_files
from appliance.phantoms.exam import HELD_OUT_SEED, PhantomExam, Scanner, render

SEED = HELD_OUT_SEED + 4200
SLICES = 30


@cache
def small_exam() -> PhantomExam:
    """A head with a bleed of 30 mL in the brain, and its twin without: 30 slices of 5 mm, 256 x 256."""
    scanner = Scanner(
        pixel_mm=0.94, size=256, slices=SLICES, thickness_mm=5.0, spacing_mm=5.0, lowest_mm=-64.0, tail_share=0.04
    )
    return render(SEED, scanner, (Bleed(kind="iph", volume_ml=30.0, core_hu=62.0),), paint_mm=1.3)


def study_of(token: str) -> Study:
    """A study of its own for each token; the patient is the same."""
    return Study(seed=SEED, token=token)


def series_files(
    token: str, *, bleeding: bool = True, number: int = 2, acquired: str | None = None
) -> list[PhantomFile]:
    """The files of one series of the study of `token`, from the foot."""
    return exam_files(small_exam(), study_of(token), clean=not bleeding, series_number=number, acquired=acquired)
