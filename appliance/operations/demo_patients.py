"""The three invented patients of the demo."""

import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass

from appliance.phantoms.demo import demo_exam
from appliance.phantoms.dicom import PhantomFile, Study, exam_files, unsuitable_files
from appliance.phantoms.exam import PhantomExam


@dataclass(frozen=True, slots=True, kw_only=True)
class Patient:
    """One invented patient and what the demo must show of the scan."""

    role: str  # "bleeding", "normal", "unsuitable"
    study: Study
    files: Sequence[PhantomFile]


class Drawing:
    """Two heads, one of which bleeds, drawn in threads of their own: Ctrl-C need not wait for them."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._bleeding: Future[PhantomExam] = Future()
        self._clean: Future[PhantomExam] = Future()
        for bleeding, head in ((True, self._bleeding), (False, self._clean)):
            threading.Thread(target=self._draw, args=(head, bleeding), name="drawing", daemon=True).start()

    @property
    def done(self) -> bool:
        """Both are drawn."""
        return self._bleeding.done() and self._clean.done()

    def patients(self, at: time.struct_time) -> list[Patient]:
        """A bleed, none, and a study without a series for the engine. Waits for what is not drawn yet."""
        bleeding, normal, unsuitable = (self._study(n, name, at) for n, name in ((1, "ONE"), (2, "TWO"), (3, "THREE")))
        clean = self._clean.result()
        return [
            Patient(role="bleeding", study=bleeding, files=exam_files(self._bleeding.result(), bleeding)),
            Patient(role="normal", study=normal, files=exam_files(clean, normal)),
            Patient(role="unsuitable", study=unsuitable, files=unsuitable_files(clean, unsuitable)),
        ]

    def _draw(self, head: "Future[PhantomExam]", bleeding: bool) -> None:
        try:
            head.set_result(demo_exam(self._seed if bleeding else self._seed + 1, bleeding=bleeding))
        except Exception as error:  # noqa: BLE001 - the border of a thread: raised again by who waits for the head
            head.set_exception(error)

    def _study(self, number: int, name: str, at: time.struct_time) -> Study:
        return Study(
            seed=self._seed,
            token=f"demo-{number}",
            patient_name=f"PHANTOM^{name}",
            patient_id=f"FAKE-000{number}",
            accession=f"FAKE-A{number}",
            date=time.strftime("%Y%m%d", at),
            time=time.strftime("%H%M%S", at),
        )
