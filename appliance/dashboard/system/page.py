"""The page System: whether every file is accounted for, who lives, who can hear, what reads, and what was not read."""

from dataclasses import dataclass
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from appliance.core.reasons import REASONS, Of, reason, sentence
from appliance.core.status import ProgramStatus
from appliance.core.times import Now
from appliance.core.words import FileVerdict
from appliance.dashboard.board.views import Moment
from appliance.dashboard.console import Console
from appliance.dashboard.system.folder_looks import FolderLook, FolderLooks
from appliance.dashboard.system.tiles import (
    beat_tiles,
    channel_tiles,
    clock_tile,
    disk_meters,
    duty_tiles,
    engine_tiles,
    page_tiles,
    queue_tiles,
    sweep_tile,
    technical_tiles,
)
from appliance.dashboard.words.moments import SECOND_NS, lasted
from appliance.records.deliveries import channel_standing
from appliance.records.engines import current_engine, last_golden
from appliance.records.ledger import Connection
from appliance.records.system_sums import (
    FilesLanded,
    Unread,
    files_landed,
    last_landed_ns,
    mended_since,
    not_analysed,
    open_technical,
)

EVERY_S: Final = 2
UNREAD_OVER_DAYS: Final = 30
DAY_NS: Final = 24 * 3600 * SECOND_NS
TERMS: Final = {
    FileVerdict.TAKEN: "taken",
    FileVerdict.DECLINED: "declined, with reason",
    FileVerdict.IGNORED: "ignored, not pictures",
    FileVerdict.DUPLICATE: "duplicates",
    FileVerdict.SET_ASIDE: "set aside",
    FileVerdict.POISON: "poison",
}
PARTS: Final = {
    f"system-{part}": f"system/{part}.html"
    for part in ("head", "sum", "technical", "beats", "hearing", "engine", "disk", "queue", "unread", "files")
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Equation:
    """What landed today and what became of it. `lead` and `fault`: what is wrong with it; `words` where nothing is."""

    landed: str
    terms: tuple[tuple[str, str], ...]
    lead: str
    fault: str
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UnreadRow:
    """A reason, how many studies, what helps, and the last such study."""

    key: str
    said: str
    code: str
    studies: int
    helps: str
    last: str
    address: str


def routes(console: Console) -> list[Route]:
    """The page and its live parts."""
    started = console.clock()
    folders = {"Store": console.store_root, "records": console.ledger.path.parent}
    looks = FolderLooks(console.ledger, folders, console.config.inbox, console.clock)

    def read(r: Connection, moment: Moment) -> dict[str, Any]:
        return _read(r, moment, console, looks, started)

    async def page(request: Request) -> Response:
        return await console.page(request, "system/page.html", here="system", read=read)

    async def parts(_request: Request) -> Response:
        return await console.parts(PARTS, read)

    return [Route("/system", page), Route("/system/parts", parts)]


def _read(r: Connection, moment: Moment, console: Console, looks: FolderLooks, started: Now) -> dict[str, Any]:
    now = Now(moment.monotonic_s, moment.now_ns)
    midnight_ns = moment.calendar.midnight_ns(moment.now_ns)
    triage = console.statuses("triage")
    look = looks.last()
    standing = open_technical(r)
    files = files_landed(r, midnight_ns)
    unread = not_analysed(r, moment.now_ns - UNREAD_OVER_DAYS * DAY_NS)
    meters, disk_words = disk_meters(look, looks.stuck_s())
    channels = [channel_standing(r, one) for one in console.config.escalation.channels]
    return {
        "parts_address": "/system/parts",
        "parts_follow": "alerts",
        "parts_every_s": EVERY_S,
        "head": _head(len(standing)),
        "equation": equation(files, triage if _lives(triage, now) else None, look),
        "technical": technical_tiles(standing, mended_since(r, midnight_ns), moment),
        "beats": [
            *beat_tiles(console.statuses, now, moment),
            sweep_tile(triage, last_landed_ns(r), now, moment),
        ],
        "screens": page_tiles(console.pages.seen(moment.monotonic_s), moment),
        "channels": channel_tiles(channels, moment),
        "engine": [*engine_tiles(current_engine(r), last_golden(r), moment), *duty_tiles(triage, now)],
        "meters": meters,
        "disk_words": disk_words,
        "queue": [*queue_tiles(triage, now), clock_tile(started, now, moment)],
        "unread": [_unread_row(one, moment) for one in unread.reasons],
        "unread_words": f"{unread.unread} of {unread.studies} studies",
        "unread_days": UNREAD_OVER_DAYS,
        "files": [(verdict, _file_words(code), code, count) for verdict, code, count in files.by_reason if code],
    }


def _lives(status: ProgramStatus | None, now: Now) -> bool:
    return status is not None and not status.is_silent(now.monotonic_s)


def _head(count: int) -> str:
    if count == 0:
        return "No technical alert is open."
    return f"{count} technical {'alert is' if count == 1 else 'alerts are'} open."


def equation(files: FilesLanded, triage: ProgramStatus | None, look: FolderLook | None) -> Equation:
    """The ledger's sum. `triage`: its status while it lives; `look`: what this program has seen in the folder itself.

    What still waits is triage's word. A file that has lain still in the folder for longer than triage is patient, that has
    no verdict and that triage does not count, is nowhere: then the sum does not add up.
    """
    lying = look.lying if look and look.lying and not look.lying.error else None
    said = triage.facts.get("waiting_files") if triage else None
    waiting = said if isinstance(said, int) else lying.waiting if lying else None
    faults = []
    lead = "This does not add up."
    if files.landed != files.answered:
        faults.append(f"{files.landed} files are in the records, and {files.answered} have a verdict.")
    if triage is None:
        lead = "Nobody is reading what lands." if not faults else lead
        faults.append("Triage gives no sign of life.")
    if lying and lying.overdue > (said if isinstance(said, int) else 0):
        lost = lying.overdue - (said if isinstance(said, int) else 0)
        many = "file has" if lost == 1 else "files have"
        faults.append(
            f"{lost} {many} lain in the landing folder without a verdict, the oldest for {lasted(lying.oldest_s)}. "
            "Next step: bleedwatch doctor, then the log of triage."
        )
    landed = f"{_grouped(files.landed)} and more" if waiting is None else _grouped(files.landed + waiting)
    terms = [(_grouped(files.of(verdict)), words) for verdict, words in TERMS.items()]
    return Equation(
        landed=landed,
        terms=(*terms, ("?" if waiting is None else _grouped(waiting), "still waiting")),
        lead=lead if faults else "",
        fault=" ".join(faults),
        words="What still waits is not known yet." if waiting is None else "Every one of them is accounted for.",
    )


def _grouped(number: int) -> str:
    """5 412: thousands set apart by a narrow space that breaks no line."""
    return f"{number:,}".replace(",", "\u202f")


def _unread_row(one: Unread, moment: Moment) -> UnreadRow:
    code = one.details.get("reason", "")
    known = (Of.SERIES, code) in REASONS
    said = one.details.get("why", "") or (
        sentence(Of.STUDY, one.code, **one.details) if (Of.STUDY, one.code) in REASONS else ""
    )
    return UnreadRow(
        key=f"unread-{code or one.code}",
        said=said[:1].upper() + said[1:] or code or one.code,
        code=code or one.code,
        studies=one.studies,
        helps=reason(Of.SERIES, code).next_step if known else "",
        last=moment.calendar.spoken(one.last_landed_ns, moment.now_ns),
        address=f"/study/{one.last_study_id}",
    )


def _file_words(code: str) -> str:
    for of in (Of.FILE, Of.SERIES):
        if (of, code) in REASONS:
            return sentence(of, code)
    return ""
