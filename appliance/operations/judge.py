"""`bleedwatch judge`: a person's word on a study that no alert was raised for, from the command line."""

from collections.abc import Callable

from appliance.core.times import Now
from appliance.dashboard.desk import judge_study, person_name
from appliance.records.ledger import Ledger
from appliance.records.studies import studies_of_uid, study_by_id
from appliance.settings import Settings

VIA = {"via": "command"}


def run_judge(
    settings: Settings, study: str, *, judged: str, by: str, clock: Callable[[], Now], say: Callable[[str], object]
) -> int:
    """`study`: its number, as at the end of the address of its page, or its Study Instance UID. Returns 0, or 1 in words."""
    with Ledger.open(settings.database) as ledger:
        ids = _ids(ledger, study)
        if not ids:
            say(f"No study {study} is known here. Next step: give the number at the end of its page's address.")
            return 1
        if len(ids) > 1:
            numbers = ", ".join(str(one) for one in ids)
            say(f"Several patients came under this UID. Next step: give one of the numbers {numbers}.")
            return 1
        answer = judge_study(
            ledger, study_id=ids[0], judged=judged, by=person_name(by), details=VIA, now_ns=clock().wall_ns
        )
    say(answer.message)
    return 0 if answer.status == 200 else 1


def _ids(ledger: Ledger, study: str) -> list[int]:
    with ledger.reading() as r:
        if "." in study:
            return [one.id for one in studies_of_uid(r, study)]
        found = study_by_id(r, int(study)) if study.isascii() and study.isdecimal() and len(study) < 19 else None
        return [found.id] if found else []
