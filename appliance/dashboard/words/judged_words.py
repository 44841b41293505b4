"""What people say of an alert, as buttons and lines say it."""

from typing import Final

from appliance.core.alerts import Judged

SHORT: Final = {Judged.CONFIRMED: "Right", Judged.REFUTED: "Wrong", Judged.UNCLEAR: "Unclear"}
FULL: Final = {
    Judged.CONFIRMED: "Right: there is a bleed",
    Judged.REFUTED: "Wrong: no bleed",
    Judged.UNCLEAR: "Unclear",
}
