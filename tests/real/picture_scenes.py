"""Every page in every state that can be shown without a fault of the machine: for pictures, and for checks of all pages.

All patients and people are invented, all heads are drawn.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, zoom

from appliance.core.alerts import Happening, Judged
from appliance.core.escalation import EscalationPolicy, EscalationStep
from appliance.core.ledger import AlertRow, FileRow, Identity
from appliance.core.slices import HEAT_SIZE
from appliance.core.status import Unrecorded
from appliance.core.words import FileVerdict, Finality, Level, Outcome, SeriesVerdict, Side
from appliance.phantoms.bleeds import Bleed
from appliance.phantoms.exam import HELD_OUT_SEED, PhantomExam, Scanner, render
from appliance.records.alerts import append_event
from appliance.records.engines import record_engine_event
from appliance.records.files import record_file
from appliance.records.studies import see_study
from appliance.records.test_alarms import raise_test
from tests.real.browsing import until
from tests.real.scenes import S, Scanned, Scene, hump, raised, step
from tests.real.served import Served

SLICES = 28
LADDER = EscalationPolicy(
    steps=(
        EscalationStep(name="Ward pager", after_s=0, channels=("ward pager",)),
        EscalationStep(name="Stroke team", after_s=120, channels=("stroke pager",)),
        EscalationStep(name="On-call lead", after_s=180, channels=("stroke pager", "mail")),
    )
)
"""Whom this site tells, one after the other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """One state of one page.

    `build` writes it; {study} in `path` is the study of what it gives back. `prepare` is what a person does on the page
    first, `context` what its browser is told.
    """

    name: str
    build: Callable[[Scene], object]
    path: str = ""
    prepare: Callable[[Any], None] = lambda _page: None
    context: Mapping[str, Any] = field(default_factory=dict)
    live: bool = True
    named: bool = True  # a person has given a name at this station
    without_box: bool = False  # the box stops once the page is open
    unrecorded: bool = False  # the ledger cannot be written, and the bleed of its study stands in no row

    def tell(self, board: Served, study_id: int) -> None:
        """Has the running board hear what triage says of itself."""
        board.facts |= FACTS
        if self.unrecorded:
            board.facts["ledger"] = "ledger-not-writable"
            board.unrecorded = (
                Unrecorded(
                    study_id=study_id, happening=Happening.RAISED, level=Level.CRITICAL, finality=Finality.PROVISIONAL,
                    at_ns=time.time_ns() - 4 * S, label="sdh", side=Side.LEFT, key_number=17,
                ),
            )  # fmt: skip


@lru_cache(maxsize=2)
def head(bleeding: bool) -> PhantomExam:
    """The head of the patient on the stage."""
    scanner = Scanner(
        pixel_mm=0.47, size=512, slices=SLICES, thickness_mm=5.0, spacing_mm=5.0, tilt_deg=0.0, lowest_mm=-64.0,
        noise_hu=3.2,
    )  # fmt: skip
    bleeds = (Bleed(kind="iph", volume_ml=26.0, core_hu=62.0),) if bleeding else ()
    return render(HELD_OUT_SEED + 41, scanner, bleeds, paint_mm=0.94)


def warmth(lesion: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A heat map over a lesion, uint8 [56, 56], as an engine would draw it."""
    soft = gaussian_filter(255.0 * (lesion > 0), 14)
    small = zoom(soft, HEAT_SIZE / soft.shape[0], order=1)
    return np.rint(250 * small / max(1.0, float(small.max()))).astype(np.uint8)


def _whole(scene: Scene, scanned: Scanned, slices: int, *, before_s: float, bleeding: bool = True) -> None:
    exam = head(bleeding)
    share = (exam.lesions > 0).mean(axis=(1, 2))
    risk = 0.02 + 0.95 * np.sqrt(share / max(1e-9, float(share.max()))) if bleeding else np.full(SLICES, 0.03)
    scene.land(
        scanned,
        [round(float(p), 3) for p in risk[:slices]],
        hu=list(exam.hu[:slices]),
        heat=[warmth(lesion) for lesion in exam.lesions[:slices]],
        pixel_mm=0.47,
        before_s=before_s,
    )


def landing_critical(scene: Scene) -> AlertRow:
    """A bleed on the stage, four seconds old, the scan still running."""
    scanned = scene.study("PHANTOM^ONE", number=1, before_s=22)
    _whole(scene, scanned, 23, before_s=4.5)
    alert = scene.read(
        scanned, Outcome.CRITICAL, final=False, step=raised(Level.CRITICAL), side=Side.RIGHT, before_s=4.4
    )
    assert alert is not None
    return alert


def day(scene: Scene) -> None:
    """What a day leaves on the board."""
    quiet = scene.study("SAMPLE^SEVEN", number=7, before_s=700)
    scene.land(quiet, [0.03] * 34, before_s=640)
    scene.read(
        quiet, Outcome.NO_FINDING, final=True, close=True, reasons=(("none-flagged", {"n": "34"}),), before_s=610
    )
    moved = scene.study("MOCK^FIVE", number=5, before_s=2900)
    scene.land(moved, [0.05] * 30, before_s=2820)
    scene.read(
        moved, Outcome.INDETERMINATE, final=True, close=True, before_s=2800,
        reasons=(("motion", {"n": "9", "all": "30"}),),
    )  # fmt: skip
    gap = scene.study("EXAMPLE^SIX", number=6, before_s=5300)
    scene.land(gap, [0.04] * 27, places=[n if n < 11 else n + 3 for n in range(27)], before_s=5210)
    scene.read(
        gap, Outcome.INCOMPLETE, final=True, close=True, before_s=5200,
        reasons=(("slices-missing", {"first": "12", "last": "14"}),),
    )  # fmt: skip


def seen_not_analysed(scene: Scene, *, seen: bool) -> Scanned:
    """A head with contrast, which this engine does not read."""
    why = (("contrast", {}),)
    scanned = scene.study("DEMO^NINE", number=9, verdict=SeriesVerdict.DECLINED, reasons=why, before_s=9000)
    scene.close(scanned, Outcome.NOT_ANALYSED, (("no-eligible-series", {"why": "contrast"}),), before_s=8900)
    if seen:
        with scene.ledger.writing() as w:
            see_study(w, scanned.study_id, "R. Example", scene.now_ns - 8800 * S)
    return scanned


def review(scene: Scene, *, number: int = 2, before_s: float = 660.0, seen: bool = False) -> AlertRow:
    """A possible bleed on the list."""
    scanned = scene.study("PHANTOM^TWO", number=number, before_s=before_s + 40)
    scene.land(scanned, hump(30, 19, 0.55), before_s=before_s + 4)
    alert = scene.read(
        scanned, Outcome.REVIEW, final=True, step=raised(Level.REVIEW, final=True), label="sdh", side=Side.RIGHT,
        before_s=before_s, close=True,
    )  # fmt: skip
    assert alert is not None
    if seen:
        scene.acknowledge(alert, "S. Sample", before_s=before_s - 60)
    return alert


def critical_day(scene: Scene) -> AlertRow:
    """One CRITICAL on a usual day."""
    day(scene)
    review(scene, seen=True)
    seen_not_analysed(scene, seen=True)
    return landing_critical(scene)


def machine(scene: Scene) -> None:
    """An engine that serves and has passed its test, and what became of the files of this day."""
    sha256 = "9f3c" * 16
    with scene.ledger.writing() as w:
        for kind, ago_s, details in (("LOADED", 9000, {}), ("GOLDEN", 1300, {"largest": "0.0004", "allowed": "0.02"})):
            record_engine_event(
                w, kind, sha256, "onnxruntime", scene.now_ns - ago_s * S, details, engine_name="head-ct 0.1.0"
            )
        number = 0
        for verdict, count in LANDED.items():
            for _ in range(count):
                number += 1
                identity = Identity(device=1, inode=number, size=525_312, mtime_ns=scene.now_ns, ctime_ns=scene.now_ns)
                row = FileRow(
                    path=f"IM-{number:04d}", identity=identity, sha256=f"{number:064x}", verdict=verdict,
                    reason=REASON_OF.get(verdict, ""), landed_ns=scene.now_ns - 600 * S, removed=True,
                )  # fmt: skip
                record_file(w, row)


LANDED = {
    FileVerdict.TAKEN: 214, FileVerdict.DECLINED: 61, FileVerdict.IGNORED: 3, FileVerdict.DUPLICATE: 12,
    FileVerdict.SET_ASIDE: 1,
}  # fmt: skip
REASON_OF = {FileVerdict.DECLINED: "not-ct", FileVerdict.IGNORED: "not-dicom", FileVerdict.SET_ASIDE: "truncated"}
FACTS: dict[str, str | int | float] = {
    "open_studies": 1, "open_series": 1, "waiting_files": 0, "oldest_waiting_s": 0.0, "swept_s_ago": 1.4,
    "scored_slices": 214,
}  # fmt: skip
"""What triage says of its work."""


def calm(scene: Scene) -> None:
    """Nothing to acknowledge, one head landing."""
    day(scene)
    review(scene, seen=True)
    seen_not_analysed(scene, seen=True)
    machine(scene)
    scanned = scene.study("PHANTOM^THREE", number=3, before_s=9)
    scene.land(scanned, [0.02] * 9, before_s=0.5)


def several(scene: Scene) -> None:
    """Three CRITICAL at once and one to review."""
    day(scene)
    review(scene, before_s=300)
    for number, name, age_s in ((11, "DEMO^ELEVEN", 95.0), (12, "MOCK^TWELVE^A VERY LONG GIVEN NAME", 47.0)):
        scene.critical(name, number, before_s=age_s)
    landing_critical(scene)


def many(scene: Scene) -> None:
    """Nine CRITICAL at once."""
    for number in range(20, 29):
        scene.critical(f"MOCK^{number}", number, before_s=20.0 + 30 * number)


def escalated(scene: Scene) -> None:
    """Nobody has answered for two minutes."""
    day(scene)
    scanned = scene.study("PHANTOM^ONE", number=1, before_s=170)
    _whole(scene, scanned, SLICES, before_s=142)
    alert = scene.read(
        scanned,
        Outcome.CRITICAL,
        final=True,
        step=raised(Level.CRITICAL, final=True),
        side=Side.RIGHT,
        before_s=140,
        close=True,
    )
    assert alert is not None
    with scene.ledger.writing() as w:
        details = {"step": "2", "name": "Stroke team", "round": "1", "channels": "stroke pager", "why": "time"}
        append_event(w, alert.id, Happening.ESCALATED, at_ns=scene.now_ns - 20 * S, by="courier", details=details)


def acknowledged(scene: Scene) -> AlertRow:
    """A person has answered."""
    day(scene)
    alert = landing_critical(scene)
    scene.acknowledge(alert, "R. Example", before_s=1.0)
    return alert


def final_critical(scene: Scene) -> AlertRow:
    """All slices read, answered and judged once."""
    day(scene)
    scanned = scene.study("PHANTOM^ONE", number=1, before_s=400)
    _whole(scene, scanned, SLICES, before_s=372)
    alert = scene.read(
        scanned, Outcome.CRITICAL, final=False, step=raised(Level.CRITICAL), before_s=370, side=Side.RIGHT
    )
    assert alert is not None
    scene.acknowledge(alert, "R. Example", before_s=352)
    scene.read(
        scanned,
        Outcome.CRITICAL,
        final=True,
        step=step(Happening.RAISED, Level.CRITICAL),
        side=Side.RIGHT,
        before_s=340,
        close=True,
    )
    with scene.ledger.writing() as w:
        append_event(
            w, alert.id, Happening.JUDGED, at_ns=scene.now_ns - 60 * S, by="Dr. Fictional", judged=Judged.CONFIRMED,
            details={},
        )  # fmt: skip
    return alert


def withdrawn(scene: Scene, *, seen: bool) -> AlertRow:
    """All slices together say no."""
    scanned = scene.study("NOBODY^EIGHT", number=8, before_s=80)
    _whole(scene, scanned, SLICES, before_s=54, bleeding=False)
    scanned.probabilities[8] = 0.97
    alert = scene.read(scanned, Outcome.CRITICAL, final=False, step=raised(Level.CRITICAL), before_s=50)
    assert alert is not None
    scene.read(
        scanned, Outcome.INDETERMINATE, final=True, step=step(Happening.WITHDRAWN, Level.CRITICAL), before_s=17,
        close=True, reasons=(("metal", {"first": "8", "last": "10"}),),
        details={"why": "Bright streaks from metal in slices 8 to 10."},
    )  # fmt: skip
    if seen:
        scene.acknowledge(alert, "R. Example", before_s=5)
    return alert


def unseen(scene: Scene) -> None:
    """A withdrawn alert that nobody has seen, and a head that nobody has read."""
    day(scene)
    seen_not_analysed(scene, seen=False)
    withdrawn(scene, seen=False)


def doubted(scene: Scene) -> None:
    """Later slices disagree."""
    scanned = scene.study("PHANTOM^ONE", number=1, before_s=60)
    _whole(scene, scanned, 24, before_s=30)
    scene.read(scanned, Outcome.CRITICAL, final=False, step=raised(Level.CRITICAL), side=Side.RIGHT, before_s=29)
    scene.read(
        scanned,
        Outcome.REVIEW,
        final=False,
        step=step(Happening.DOUBTED, Level.CRITICAL, final=False),
        side=Side.RIGHT,
        before_s=9,
    )


def blind(scene: Scene) -> None:
    """The box cannot see."""
    day(scene)
    scanned = scene.study("PHANTOM^THREE", number=3, before_s=60)
    scene.land(scanned, [0.02] * 9, before_s=31)
    scene.technical("triage-silent", before_s=27)


def technical(scene: Scene) -> None:
    """Technical alerts that do not make the box blind."""
    scene.technical("courier-silent", before_s=400)
    scene.technical("disk-low", before_s=2000, percent="4")
    scene.technical("clock-jumped", before_s=3000, jump="3 min", time="14:10")


def faults(scene: Scene) -> None:
    """A box with faults, on a usual day."""
    day(scene)
    machine(scene)
    technical(scene)


def unwritten(scene: Scene) -> Scanned:
    """A head landing on a usual day, on a disk that has just become full."""
    day(scene)
    scanned = scene.study("PHANTOM^ONE", number=1, before_s=9)
    scene.land(scanned, hump(28, 15, 0.95)[:17], before_s=4)
    return scanned


def practice(scene: Scene) -> None:
    """A test alarm on a usual day."""
    day(scene)
    practice_alarm(scene)


def practice_alarm(scene: Scene) -> None:
    """Practice, started by a person three seconds ago."""
    with scene.ledger.writing() as w:
        raise_test(w, by="R. Example", at_ns=scene.now_ns - 3 * S, details={})


NAMES = (
    "",
    "<script>alert(1)</script>^<b>BOLD</b>",
    "محمد^عبد الله",
    "Łukasiewicz-Wyszyńska^Maria Magdalena Anastazja^^Dr.^PhD with a name that is longer than any list is wide",
    "PHANTOM\u202e^EVIL\u0007",
    "山田^太郎",
)


def alerts_of_all_kinds(scene: Scene) -> None:
    """Open, answered, judged, withdrawn, technical and a test."""
    withdrawn(scene, seen=True)
    practice_alarm(scene)
    technical(scene)
    critical_day(scene)


def busy(scene: Scene) -> None:
    """Two hundred studies, and names of all kinds."""
    for number in range(1, 201):
        name = NAMES[number % len(NAMES)] if number % 7 == 0 else f"SAMPLE^{number}"
        other = number % 5 == 0
        scanned = scene.study(
            name, number=100 + number, before_s=60.0 * number, may_be_head=not other,
            verdict=SeriesVerdict.DECLINED if other else SeriesVerdict.READ,
        )  # fmt: skip
        if other:
            scene.close(scanned, Outcome.NOT_ANALYSED, (("no-head", {"why": "neck"}),), before_s=60.0 * number - 30)
            continue
        scene.land(scanned, [0.02] * 4, before_s=60.0 * number - 20, hu=[np.zeros((16, 16), np.int16)] * 4)
        scene.read(
            scanned, Outcome.NO_FINDING, final=True, close=True, reasons=(("none-flagged", {"n": "4"}),),
            before_s=60.0 * number - 30,
        )  # fmt: skip
    landing_critical(scene)


def nothing(_scene: Scene) -> None:
    """A box that has never seen a scan."""


def press_acknowledge(page: Any) -> None:
    """Nobody has given a name: the press asks for one."""
    page.wait_for_timeout(700)
    page.click(".alarm .ack")
    page.wait_for_selector("#who[open]")


def wait_until_lost(page: Any) -> None:
    """Long enough without a word of the box."""
    until(page, "!document.getElementById('lost').hidden", within_s=14)


SCENES = (
    Shown(name="board", build=critical_day),
    Shown(name="board-calm", build=calm),
    Shown(name="board-several", build=several),
    Shown(name="board-many", build=many),
    Shown(name="board-escalated", build=escalated),
    Shown(name="board-acknowledged", build=acknowledged),
    Shown(name="board-doubted", build=doubted),
    Shown(name="board-unseen", build=unseen),
    Shown(name="board-blind", build=blind),
    Shown(name="board-faults", build=faults),
    Shown(name="board-unrecorded", build=unwritten, unrecorded=True),
    Shown(name="board-test", build=practice),
    Shown(name="board-busy", build=busy),
    Shown(name="board-first-run", build=nothing),
    Shown(name="board-name", build=critical_day, prepare=press_acknowledge, named=False),
    Shown(name="board-disconnected", build=critical_day, prepare=wait_until_lost, without_box=True),
    Shown(name="board-disconnected-calm", build=calm, prepare=wait_until_lost, without_box=True),
    Shown(name="board-without-script", build=critical_day, live=False, context={"java_script_enabled": False}),
    Shown(name="kiosk", build=critical_day, path="kiosk"),
    Shown(name="kiosk-calm", build=calm, path="kiosk"),
    Shown(name="study", build=landing_critical, path="study/{study}"),
    Shown(name="study-final", build=final_critical, path="study/{study}"),
    Shown(name="study-review", build=review, path="study/{study}"),
    Shown(name="study-withdrawn", build=partial(withdrawn, seen=True), path="study/{study}"),
    Shown(name="study-not-analysed", build=partial(seen_not_analysed, seen=False), path="study/{study}"),
    Shown(name="alerts", build=alerts_of_all_kinds, path="alerts"),
    Shown(name="system", build=faults, path="system"),
    Shown(name="system-calm", build=calm, path="system"),
)
