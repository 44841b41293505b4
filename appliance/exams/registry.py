"""The examinations that the box knows. A new one is a folder beside `head_ct` and a row here."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from appliance.core.ledger import Reasons, SliceRow
from appliance.exams.head_ct import eligibility, gate


@dataclass(frozen=True, slots=True, kw_only=True)
class Exam:
    """One examination: what a series of it is asked."""

    name: str  # as in an engine's manifest and in the key of an alert
    header_verdict: Callable[..., eligibility.HeaderVerdict]
    pixel_verdict: Callable[[Sequence[eligibility.PixelFacts]], Reasons | None]
    doubts: Callable[[Sequence[SliceRow]], Reasons]


EXAM: Final = "head_ct"
"""The one examination that is read today."""

EXAMS: Final = {
    exam.name: exam
    for exam in (
        Exam(
            name=EXAM,
            header_verdict=eligibility.header_verdict,
            pixel_verdict=eligibility.pixel_verdict,
            doubts=gate.doubts,
        ),
    )
}
