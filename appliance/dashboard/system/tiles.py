"""The tiles of the page System: one fact each, in a few words. `bad` ones are violet."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from appliance.core.alerts import HAPPENED_ONCE
from appliance.core.delivery import ChannelStanding
from appliance.core.engine_duty import BAD, SAID, DutyState
from appliance.core.ledger import AlertRow, EngineEventRow
from appliance.core.status import PageSeen, ProgramStatus
from appliance.core.times import Now
from appliance.core.watching import is_live
from appliance.dashboard.alerts.lines import took
from appliance.dashboard.board.bands import sentences
from appliance.dashboard.board.views import AGO, Age, Moment
from appliance.dashboard.system.folder_looks import FolderLook
from appliance.dashboard.words import wording
from appliance.dashboard.words.moments import SECOND_NS, lasted
from appliance.records.system_sums import Mended

DOES: Final = {
    "triage": "triage, reads slices",
    "courier": "courier, tells people",
    "dashboard": "dashboard, these pages",
}
LEAST_FREE_BYTES: Final = 2 * 1024**3
SHA_SHOWN: Final = 16
STUCK_AFTER_S: Final = 10.0
JUMP_S: Final = 2.0
_UNITS: Final = ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """One fact. `age` counts in the page and takes the place of `value`; `code` is set apart in small type."""

    key: str
    name: str
    value: str = ""
    age: Age | None = None
    words: str = ""
    code: str = ""
    icon: str = ""
    bad: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Meter:
    """How full a disk is. `share` in [0, 1] is drawn."""

    key: str
    words: str
    share: float
    bad: bool


def counted_age(moment: Moment, key: str, seconds: float) -> Age:
    """An age that a steady clock has given: it goes to the page as it is."""
    moment.counted[key] = round(seconds, 3)
    return Age(key=key, style=AGO, text="")


def technical_tiles(standing: list[AlertRow], mended: list[Mended], moment: Moment) -> list[Tile]:
    """What is open, then what was mended today."""
    tiles = []
    for row in standing:
        said, next_step = sentences(row.key.first, row.details)
        blind = wording.is_blind(row.key.first, row.details)
        seen = f" Seen by {row.acknowledged_by}." if row.acknowledged_ns else ""
        tiles.append(
            Tile(
                key=f"technical-{row.id}",
                name=said,
                value=moment.calendar.spoken(row.raised_ns, moment.now_ns),
                words=f"Next step: {next_step}{seen}",
                code=row.key.first if row.key.second == "box" else f"{row.key.first}, {row.key.second}",
                icon="blind" if blind else "technical",
                bad=True,
            )
        )
    for one in mended:
        said, _ = sentences(one.alert.key.first, one.alert.details)
        stood_s = (one.end.at_ns - one.alert.raised_ns) / SECOND_NS
        word = "seen" if one.alert.key.first in HAPPENED_ONCE else "mended"
        tiles.append(
            Tile(
                key=f"technical-{one.alert.id}",
                name=said.split(". ")[0].rstrip(".") + ".",
                value=f"{word} {moment.calendar.short(one.end.at_ns)}",
                words=f"It stood for {lasted(stood_s)}.",
                code=one.alert.key.first,
            )
        )
    return tiles


def beat_tiles(statuses: Callable[[str], ProgramStatus | None], now: Now, moment: Moment) -> list[Tile]:
    """The three programs and the last sweep of the landing folder."""
    tiles = []
    for program, does in DOES.items():
        status = statuses(program)
        if status is None:
            tiles.append(Tile(key=program, name=does, value="no sign of life", icon="technical", bad=True))
            continue
        silent_s = status.silent_s(now.monotonic_s)
        words = f"since {moment.calendar.spoken(status.started_ns, moment.now_ns)}"
        if status.is_silent(now.monotonic_s):
            words = "gives no sign of life; alarm after 5 s"
        tiles.append(
            Tile(
                key=program,
                name=does,
                age=counted_age(moment, f"system-beat-{program}", silent_s),
                words=" ".join((words + ".", *status.faults)),
                icon="technical" if status.faults or status.is_silent(now.monotonic_s) else "",
                bad=bool(status.faults) or status.is_silent(now.monotonic_s),
            )
        )
    return tiles


def sweep_tile(triage: ProgramStatus | None, last_landed_ns: int | None, now: Now, moment: Moment) -> Tile:
    """How long ago triage last looked at the whole landing folder."""
    swept_s_ago = triage.facts.get("swept_s_ago") if triage else None
    landed = "nothing has ever landed"
    if last_landed_ns is not None:
        landed = f"last file {moment.calendar.spoken(last_landed_ns, moment.now_ns)}"
    if triage is None or not isinstance(swept_s_ago, int | float):
        return Tile(key="sweep", name="landing folder, last sweep", value="not known", words=landed)
    age_s = swept_s_ago + triage.silent_s(now.monotonic_s)
    age = counted_age(moment, "system-sweep", age_s)
    return Tile(key="sweep", name="landing folder, last sweep", age=age, words=landed)


def page_tiles(pages: Iterable[PageSeen], moment: Moment) -> list[Tile]:
    """The open pages. One that cannot sound is shown, and is nobody's ear."""
    tiles = []
    for number, page in enumerate(sorted(pages, key=lambda one: (one.screen, one.page_id)), start=1):
        live = is_live(page, 0.0)
        value = "armed" if live else "hidden" if page.hidden else "no sound"
        heard = "last word" if page.last_word_s_ago <= 5 else "silent, last word"
        tiles.append(
            Tile(
                key=f"page-{page.page_id}",
                name=f"Screen {page.screen or number}, {page.place or 'a page'}",
                value=value,
                words=f"{heard} {lasted(page.last_word_s_ago)} ago",
                icon="sound" if live else "mute",
            )
        )
    return tiles


def channel_tiles(channels: Iterable[ChannelStanding], moment: Moment) -> list[Tile]:
    """The channels beside the screens."""
    tiles = []
    for one in channels:
        told = f"last told {moment.calendar.spoken(one.taken_ns, moment.now_ns)}" if one.taken_ns else "never told yet"
        waiting = f", {one.due} waiting" if one.due else ""
        dead = f", {one.dead} given up" if one.dead else ""
        why = f" ({one.last_error})" if one.failing and one.last_error else ""
        value = "does not answer" if one.failing else "answers" if one.taken_ns else "not asked yet"
        tiles.append(
            Tile(
                key=f"channel-{one.name}",
                name=one.name,
                value=value,
                words=f"{told}{waiting}{dead}{why}",
                icon="technical" if one.failing else "sound" if one.taken_ns else "",
                bad=one.failing,
            )
        )
    return tiles


def engine_tiles(engine: EngineEventRow | None, golden: EngineEventRow | None, moment: Moment) -> list[Tile]:
    """What reads, and how its self-test went."""
    if engine is None:
        return [Tile(key="engine", name="No engine has been loaded yet", icon="technical", bad=True)]
    tiles = [
        Tile(
            key="engine",
            name=engine.engine_name or "engine without a name",
            value=f"since {moment.calendar.spoken(engine.at_ns, moment.now_ns)}",
            words=f"reads with {engine.backend}",
            code=f"{engine.engine_sha256[:SHA_SHOWN]}…",
        )
    ]
    if golden is None:
        return tiles
    largest, allowed = golden.details.get("largest", ""), golden.details.get("allowed", "")
    result = f"passed: largest difference {largest} of {allowed} logits allowed" if largest else "passed"
    other = "" if golden.engine_sha256 == engine.engine_sha256 else " (of another engine)"
    at = moment.calendar.spoken(golden.at_ns, moment.now_ns)
    return [*tiles, Tile(key="golden", name="Golden answers", value=at, words=result + other)]


def duty_tiles(triage: ProgramStatus | None, now: Now) -> list[Tile]:
    """Which backend is on duty and why, by triage's own word; nothing while it is silent, which its own tile says."""
    if triage is None or triage.is_silent(now.monotonic_s):
        return []
    try:
        state = DutyState(str(triage.facts.get("engine_duty", "")))
    except ValueError:
        return []
    words = [str(triage.facts.get("engine_why", "")).rstrip(".")]
    retry_s = triage.facts.get("engine_retry_s")
    if isinstance(retry_s, int | float):
        words.append(f"tried again in {lasted(float(retry_s))}")
    if build := triage.facts.get("engine_build"):
        words.append(f"the builder says: {build}")
    return [
        Tile(
            key="duty",
            name=SAID[state],
            value=str(triage.facts.get("backend", "")),
            words="; ".join(word for word in words if word),
            icon="blind" if state is DutyState.STOPPED else "technical" if state in BAD else "",
            bad=state in BAD,
        )
    ]


def queue_tiles(triage: ProgramStatus | None, now: Now) -> list[Tile]:
    """What waits, by triage's own word."""
    if triage is None or triage.is_silent(now.monotonic_s):
        return [Tile(key="queue", name="Waiting files", value="not known", words="triage is silent", bad=True)]
    facts = triage.facts
    oldest = facts.get("oldest_waiting_s")
    waits = (
        f"the oldest for {lasted(float(oldest))}"
        if isinstance(oldest, int | float) and oldest >= 1
        else "none waits long"
    )
    return [
        Tile(key="queue", name="Waiting files", value=str(facts.get("waiting_files", "not known")), words=waits),
        Tile(
            key="open",
            name="Open studies",
            value=str(facts.get("open_studies", "not known")),
            words=f"{facts.get('open_series', 'unknown number of')} series open, {facts.get('scored_slices', 0)} slices "
            "read since the start",
        ),
    ]


def clock_tile(started: Now, now: Now, moment: Moment) -> Tile:
    """The two clocks of the box against each other: a jump of the wall clock shows as a difference."""
    apart_s = (now.wall_ns - started.wall_ns) / SECOND_NS - (now.monotonic_s - started.monotonic_s)
    at = moment.calendar.at(now.wall_ns)
    since = moment.calendar.spoken(started.wall_ns, moment.now_ns)
    moved = abs(apart_s) >= JUMP_S
    words = f"{at.strftime('%Y-%m-%d')}, {at.tzname()}; {abs(apart_s):.1f} s off the steady clock since {since}"
    return Tile(
        key="clock",
        name="Clock of the box",
        value=at.strftime("%H:%M:%S"),
        words=f"It has moved by {took(abs(apart_s))} since {since}. Ages are right all the same." if moved else words,
        icon="technical" if moved else "",
        bad=moved,
    )


def disk_meters(look: FolderLook | None, stuck_s: float) -> tuple[list[Meter], str]:
    """The disks, and in words what cannot be seen of them."""
    said = f"A disk has not answered for {lasted(stuck_s)}." if stuck_s >= STUCK_AFTER_S else ""
    if look is None:
        return [], said or "Not looked at yet."
    meters = []
    for disk in look.disks:
        if disk.error or not disk.total_bytes:
            meters.append(Meter(key=disk.name, words=f"{disk.name}: {disk.error or 'not known'}", share=0.0, bad=True))
            continue
        share = 1 - disk.free_bytes / disk.total_bytes
        meters.append(
            Meter(
                key=disk.name,
                words=f"{disk.name}: {100 * share:.0f} % of {size(disk.total_bytes)} used, {size(disk.free_bytes)} free",
                share=share,
                bad=disk.free_bytes < LEAST_FREE_BYTES,
            )
        )
    return meters, said


def size(size_bytes: float) -> str:
    """1.9 TB, 740 GB."""
    for unit, word in _UNITS:
        if size_bytes >= unit:
            many = size_bytes / unit
            return f"{many:.1f} {word}" if many < 10 else f"{many:.0f} {word}"
    return f"{size_bytes / 1e6:.1f} MB"
