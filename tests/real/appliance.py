"""The triage program without its process: real inbox, readers, store, ledger and engine, on a clock that a test moves."""

import shutil
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from appliance.core.engine import Points
from appliance.core.ledger import AlertEventRow, AlertRow, FileRow, ReadingRow, SeriesRow, SliceRow, StudyRow
from appliance.core.times import Now
from appliance.core.words import FileVerdict
from appliance.inference.choice import Choosing
from appliance.inference.loading import LoadedEngine
from appliance.intake.reader_pool import ReaderPool
from appliance.intake.watch import Watcher
from appliance.processes.clock import now
from appliance.records.alerts import events_after, existing_alert
from appliance.records.check import check
from appliance.records.files import recent_files, verdict_sums
from appliance.records.ledger import Ledger
from appliance.records.readings import readings_of
from appliance.records.series import series_of
from appliance.records.slices import slices_of
from appliance.records.studies import studies_since
from appliance.settings import Settings, parse_settings
from appliance.store.shelf import without_preamble
from appliance.triage.fast_road import FastRoad
from appliance.triage.program import make_triage

ENGINE = Path(__file__).resolve().parents[2] / "engines" / "head-ct"
BALLAST_MIB = 1  # enough for a test: each keeps its folder for a while
STEP_S = 0.5  # of the moved clock: less than any patience of the box
SWEEP_AND_SECOND_LOOK_S = 33.0  # without a watcher a file is found by the idle sweep, settles, and is looked at again
_MANY = 100_000

KEEN = Points(critical=1e-9, review=1e-9, early_pair=1e-9, early_single=2.0, overlap=0.0, neighbour_mm=10.0)
"""Operating points by which every head with a brain bleeds: for tests of what follows from a positive answer."""
CALM = Points(critical=2.0, review=2.0, early_pair=2.0, early_single=2.0, overlap=0.0, neighbour_mm=10.0)
"""Points by which none does."""


def with_points(engine: LoadedEngine, points: Points) -> LoadedEngine:
    """The same engine, its answers judged by other points."""
    return replace(engine, card=replace(engine.card, points=points))


class Clock:
    """Both clocks of a box. They stand unless a test moves them on, so that a busy machine changes nothing."""

    def __init__(self) -> None:
        self._now = now()

    def now(self) -> Now:
        return self._now

    def move(self, seconds: float) -> None:
        """Never back: the deadlines of the readers, which boxes share, hang on it."""
        self._now = self._now.plus(seconds)


def settings_of(root: Path, engine_folder: Path = ENGINE, more: str = "") -> Settings:
    """Settings of a throw-away appliance below `root`; its folders are made."""
    return parse_settings(settings_text(root, engine_folder) + more, "test")


def settings_text(root: Path, engine_folder: Path = ENGINE) -> str:
    for name in ("state", "store", "run", "inbox"):
        (root / name).mkdir(parents=True, exist_ok=True)
    return (
        f'state_folder = "{root}/state"\nstore_folder = "{root}/store"\nruntime_folder = "{root}/run"\n'
        f"ballast_mib = {BALLAST_MIB}\n"
        f'[inbox]\nfolder = "{root}/inbox"\n[engine]\nfolder = "{engine_folder}"\n'
    )


class Box:
    """A throw-away appliance that a test drives by hand."""

    def __init__(
        self,
        root: Path,
        *,
        migrated: Path,
        engine: LoadedEngine,
        readers: ReaderPool,
        clock: Clock,
        watched: bool = False,
        start: bool = True,
        ballast_mib: int = BALLAST_MIB,
    ) -> None:
        self.settings = settings_of(root).model_copy(update={"ballast_mib": ballast_mib})
        self.inbox = self.settings.inbox.folder
        self.engine = engine
        self.clock = clock
        self.fast: FastRoad | None = None
        self.choosing: Choosing | None = None
        self.watcher: Watcher | None = None
        self._readers = readers
        self._watched = watched
        if not self.settings.database.exists():
            shutil.copy(migrated, self.settings.database)
        self.ledger = Ledger.open(self.settings.database)
        if start:
            self.start()

    def start(self) -> None:
        """A program that has just been started: it knows what the ledger and the inbox hold, and nothing else."""
        self.watcher = Watcher(self.inbox) if self._watched else None
        if self.watcher:
            self.watcher.start()
        self.triage = make_triage(
            self.settings,
            self.ledger,
            self.engine,
            self._readers,
            self.watcher,
            self.clock.now(),
            fast=self.fast,
            why="a test",
            choosing=self.choosing,
        )
        self.triage.start(self.clock.now())

    def restart(self) -> None:
        """Everything in memory is gone."""
        self.stop()
        self.ledger.close()
        self.ledger = Ledger.open(self.settings.database)
        self.start()

    def stop(self) -> None:
        """Answers on their way come too late: no reader brings them to the next box."""
        if self.watcher:
            self.watcher.stop()
        while self._readers.busy:
            self._readers.wait(0.05)
            self._readers.poll(self.clock.now().monotonic_s)

    def close(self) -> None:
        self.stop()
        self.ledger.close()

    # -- driving --------------------------------------------------------------------------------------

    def put(self, name: str, data: bytes) -> Path:
        """A file that lands whole, under a temporary name first."""
        path = self.inbox / name
        path.parent.mkdir(parents=True, exist_ok=True)
        hidden = path.with_name(f".{path.name}.part")
        hidden.write_bytes(data)
        return hidden.rename(path)

    def tick(self) -> None:
        self.triage.tick(self.clock.now())

    def work(self) -> None:
        """Ticks until nothing more can be done at this hour."""
        while True:
            self.tick()
            if self._readers.busy:
                self._readers.wait(0.05)
            elif not self.triage.has_work():
                return

    def hear(self, happened: Callable[[], bool], within_s: float = 5.0) -> None:
        """Ticks until it has happened, by what the watcher hears alone: no time passes for the box."""
        end_s = time.monotonic() + within_s
        while not happened():
            assert time.monotonic() < end_s, "it has not happened"
            self.work()
            if self.watcher:
                self.watcher.woken.wait(0.02)
                self.watcher.woken.clear()

    def pass_time(self, seconds: float) -> None:
        """Lets time pass, in steps, and does what falls due. The watcher's thread gets a moment to be heard."""
        if self.watcher:
            self.watcher.woken.wait(0.05)
            self.watcher.woken.clear()
        self.work()
        while seconds > 0:
            self.clock.move(min(STEP_S, seconds))
            seconds -= STEP_S
            self.work()

    def pass_time_until(self, happened: Callable[[], bool], at_most_s: float = 60.0) -> None:
        """Lets time pass until it has happened."""
        passed_s = 0.0
        while not happened():
            assert passed_s < at_most_s, "it has not happened"
            self.pass_time(STEP_S)
            passed_s += STEP_S

    def rest(self, at_least_s: float = SWEEP_AND_SECOND_LOOK_S, at_most_s: float = 200.0) -> None:
        """Lets time pass until every file has its verdict and every study is closed."""
        self.pass_time(at_least_s)
        passed_s = at_least_s
        while not self.triage.is_idle():
            assert passed_s < at_most_s, "the box does not come to rest"
            self.pass_time(STEP_S)
            passed_s += STEP_S

    # -- what the ledger says ---------------------------------------------------------------------------

    def sums(self) -> dict[str, int]:
        """How many files have each verdict; those that none has are left out."""
        with self.ledger.reading() as read:
            return {verdict.value: count for verdict, count in verdict_sums(read).items() if count}

    def files(self, name: str | None = None) -> list[FileRow]:
        """Every file that ever landed, or those of one name; the last first."""
        with self.ledger.reading() as read:
            found = recent_files(read, list(FileVerdict), _MANY)
        return [one for one in found if name in (None, one.path)]

    def studies(self) -> list[StudyRow]:
        with self.ledger.reading() as read:
            return sorted(studies_since(read, 0, _MANY), key=lambda study: study.id)

    def study(self) -> StudyRow:
        """The one study."""
        (only,) = self.studies()
        return only

    def series(self, study: StudyRow | None = None) -> list[SeriesRow]:
        with self.ledger.reading() as read:
            return series_of(read, (study or self.study()).id)

    def slices(self, series: SeriesRow | None = None) -> list[SliceRow]:
        """The slices of a series, or all."""
        chosen = [series] if series else [one for study in self.studies() for one in self.series(study)]
        with self.ledger.reading() as read:
            return [row for one in chosen for row in slices_of(read, one.id)]

    def readings(self, series: SeriesRow) -> list[ReadingRow]:
        with self.ledger.reading() as read:
            return readings_of(read, series.id)

    def events(self) -> list[AlertEventRow]:
        """All that ever happened to any alert."""
        with self.ledger.reading() as read:
            return events_after(read, 0, _MANY)

    def alerts(self, kind: str = "clinical") -> list[AlertRow]:
        """Every alert row of a kind, open or not."""
        numbers = sorted({event.alert_id for event in self.events()})
        with self.ledger.reading() as read:
            rows = [existing_alert(read, number) for number in numbers]
        return [row for row in rows if row.key.kind == kind]

    def alert(self) -> AlertRow:
        """The one clinical alert."""
        (only,) = self.alerts()
        return only

    def in_inbox(self) -> list[str]:
        """What lies in the landing folder."""
        return sorted(str(path.relative_to(self.inbox)) for path in self.inbox.rglob("*") if not _is_folder(path))

    def set_aside(self) -> list[bytes]:
        """What was moved aside."""
        folder = self.settings.set_aside_folder
        return sorted(path.read_bytes() for path in folder.iterdir()) if folder.exists() else []

    def stored(self) -> Counter[bytes]:
        """The files of the store, as they stand there."""
        return Counter(path.read_bytes() for path in self.settings.store_folder.rglob("*.dcm"))

    def assert_sound(self, *landed: bytes) -> None:
        """The ledger is whole, each slice stands in the store and has its file's row; and exactly these were taken."""
        assert check(self.ledger) == []
        slices = self.slices()
        taken = [one for one in self.files() if one.verdict is FileVerdict.TAKEN]
        assert Counter(row.file_sha256 for row in slices) == Counter(one.sha256 for one in taken)
        for row in slices:
            assert (self.settings.store_folder / row.stored).is_file()
        if landed:
            assert self.stored() == Counter(map(without_preamble, landed))


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()
