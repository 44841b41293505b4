"""One study: what was found where, how sure, by what; who was told when; and a way to say "wrong".

The address holds a row's number, never a name or a UID: addresses stand in histories.
"""

from collections.abc import Mapping
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from appliance.core.ledger import SliceRow
from appliance.dashboard.addresses import row_id
from appliance.dashboard.board.views import Moment
from appliance.dashboard.console import Console
from appliance.dashboard.study.finding import figures_of, finding_panel, unread_panel
from appliance.dashboard.study.log import log_lines
from appliance.dashboard.study.record import judging_of, record_of
from appliance.dashboard.study.verdict import verdict_of
from appliance.dashboard.study.viewer import viewer_of
from appliance.dashboard.study.views import StudyView
from appliance.records.ledger import Connection
from appliance.records.whole_study import read_whole_study

PARTS: Final = {
    "study-verdict": "study/verdict.html",
    "study-slices": "study/slices.html",
    "study-corners": "study/corners.html",
    "study-caption": "study/caption.html",
    "study-strip": "study/strip.html",
    "study-left": "study/left.html",
    "study-side": "study/side.html",
}
"""What changes while slices land. The picture itself is the script's: it keeps the slice that a person looks at."""

EVERY_S: Final = 10.0
"""How often the page looks again where nothing told it to."""


def routes(console: Console) -> list[Route]:
    """The page and its parts."""

    async def page(request: Request) -> Response:
        return await console.page(request, "study/page.html", here="study", read=_reader(console, request))

    async def parts(request: Request) -> Response:
        return await console.parts(PARTS, _reader(console, request))

    return [Route("/study/{study_id}", page), Route("/study/{study_id}/parts", parts)]


def _reader(console: Console, request: Request) -> Any:
    study_id = row_id(request.path_params["study_id"])
    series_id = row_id(request.query_params.get("series", "")) or None

    def read(r: Connection, moment: Moment) -> Mapping[str, Any] | None:
        study = _study_view(console, r, moment, study_id, series_id)
        asked = "" if series_id is None else f"?series={series_id}"
        if study is None:
            return None
        return {"study": study, "parts_address": f"/study/{study_id}/parts{asked}", "parts_every_s": EVERY_S}

    return read


def _study_view(
    console: Console, r: Connection, moment: Moment, study_id: int, series_id: int | None
) -> StudyView | None:
    whole = read_whole_study(r, study_id, series_id=series_id)
    if whole is None:
        return None
    finding = finding_panel(whole)

    def has_pixels(row: SliceRow) -> bool:
        return console.pictures.has_pixels(row)

    return StudyView(
        id=study_id,
        alert=whole.alert.alert.id if whole.alert else 0,
        verdict=verdict_of(whole, moment),
        viewer=viewer_of(whole, finding.title if finding and whole.alert else "", has_pixels),
        unread=unread_panel(whole),
        finding=finding,
        figures=figures_of(whole),
        log=log_lines(whole, console.config.escalation, moment),
        judging=judging_of(whole, moment.calendar),
        record=record_of(whole),
    )
