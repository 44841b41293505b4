"""What came of reading one file's bytes."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from appliance.core.headers import Header
from appliance.core.words import FileVerdict

Hounsfield = NDArray[np.int16]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadFile:
    """The verdict on one file.

    TAKEN has `header` with geometry, `hu` (int16 [rows, columns], padding set to air) and `pixel_sha256` (of the decoded
    values). Any other verdict has a `reason`; it has a `header` if the file names a series of CT class or CT modality,
    and `study_uid` if it names at least a study: a set-aside file makes that study INCOMPLETE.
    """

    verdict: FileVerdict
    reason: str = ""
    details: tuple[tuple[str, str], ...] = ()
    header: Header | None = None
    study_uid: str = ""
    hu: Hounsfield | None = None
    pixel_sha256: str = ""
