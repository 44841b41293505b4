"""What people say of an alert, or of a study without one, as buttons and lines say it."""

from typing import Final

from appliance.core.alerts import Judged
from appliance.core.studies import StudyJudged

SHORT: Final = {Judged.CONFIRMED: "Right", Judged.REFUTED: "Wrong", Judged.UNCLEAR: "Unclear"}
FULL: Final = {
    Judged.CONFIRMED: "Right: there is a bleed",
    Judged.REFUTED: "Wrong: no bleed",
    Judged.UNCLEAR: "Unclear",
}
OF_STUDY: Final = {
    StudyJudged.BLEED: "There is a bleed",
    StudyJudged.NO_BLEED: "No bleed",
    StudyJudged.UNCLEAR: "Unclear",
}
"""Of a study that no alert was raised for."""
