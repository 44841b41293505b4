"""The program that joins them: puts the parts together, runs the loop, says that it lives."""

import logging
import os
import threading
from collections.abc import Callable
from functools import partial

from appliance.core.errors import CannotStart, Fault
from appliance.core.status import LEDGER_FACT
from appliance.core.times import Now
from appliance.inference.choice import Choosing, choose
from appliance.inference.loading import LoadedEngine, load_engine
from appliance.intake.inbox import Inbox
from appliance.intake.reader_pool import ReaderPool
from appliance.intake.watch import Watcher
from appliance.processes.alone import alone
from appliance.processes.clock import now
from appliance.processes.logs import start_logs
from appliance.processes.loop import run_ticks
from appliance.processes.notify import ServiceManager
from appliance.processes.signals import stop_on_signals
from appliance.processes.status_file import StatusFile, remove_status
from appliance.records.engines import current_engine, record_engine_event
from appliance.records.ledger import Connection, Ledger
from appliance.records.series import series_of
from appliance.records.slices import forget_scores
from appliance.records.studies import open_studies
from appliance.settings import Settings
from appliance.store.shelf import Shelf
from appliance.triage.ballast import Ballast
from appliance.triage.cases import OpenCases
from appliance.triage.engine_duty import EngineDuty
from appliance.triage.fast_road import FastRoad, fast_road
from appliance.triage.judge import Judge
from appliance.triage.keeping import LEDGER_FAULTS, Keeping
from appliance.triage.landing import Landing
from appliance.triage.leaving import Leaving
from appliance.triage.placing import Placing
from appliance.triage.scoring import Scoring
from appliance.triage.technical import PROGRAM, TechnicalAlerts
from appliance.triage.triage import Triage

log = logging.getLogger(__name__)

BUSY_REST_S = 0.005
IDLE_REST_S = 0.05
BALLAST = "ballast"
CANNOT_WRITE = "The records cannot be written: what is found is told from memory until they can."


def make_triage(
    settings: Settings,
    ledger: Ledger,
    engine: LoadedEngine,
    pool: ReaderPool,
    watcher: Watcher | None,
    moment: Now,
    *,
    fast: FastRoad | None = None,
    why: str = "",
    choosing: Choosing | None = None,
) -> Triage:
    """The parts, put together. Nothing is started yet.

    `fast`, `why`, `choosing`: the backend beside `engine`, as `EngineDuty`.
    """
    shelf = Shelf(settings.store_folder)
    inbox = Inbox(settings.inbox.folder)
    cases = OpenCases(ledger, engine.card)
    technical = TechnicalAlerts(ledger)
    ballast = Ballast(settings.state_folder / BALLAST, settings.ballast_mib * 2**20)
    duty = EngineDuty(
        spare=engine, fast=fast, why=why, ledger=ledger, technical=technical, now=moment, choosing=choosing
    )
    keeping = Keeping(ledger, ballast)
    placing = Placing(ledger=ledger, cases=cases, duty=duty, keeping=keeping)
    landing = Landing(
        inbox=inbox, pool=pool, shelf=shelf, ledger=ledger, placing=placing, technical=technical, ballast=ballast
    )
    return Triage(
        shelf=shelf,
        inbox=inbox,
        watcher=watcher,
        landing=landing,
        leaving=Leaving(
            inbox=inbox, owned=settings.inbox.owned, set_aside_folder=settings.set_aside_folder, ledger=ledger
        ),
        scoring=Scoring(duty=duty, shelf=shelf, cases=cases, landing=landing, placing=placing, technical=technical),
        cases=cases,
        placing=placing,
        duty=duty,
        judge=Judge(ledger=ledger, keeping=keeping, duty=duty),
        technical=technical,
        keeping=keeping,
        ballast=ballast,
    )


def run(settings: Settings) -> None:
    """Runs until SIGTERM or SIGINT. CannotStart in words for what a restart would not cure."""
    stop = stop_on_signals()
    manager = ServiceManager.from_environment(os.environ, os.getpid())
    start_logs(PROGRAM)
    # SQLite needs a little room to open its file: where the disk is full since before, there must be some.
    Ballast(settings.state_folder / BALLAST, settings.ballast_mib * 2**20).give_up_if_full()
    ledger = Ledger.open(settings.database)
    try:
        engine = load_engine(settings.engine.folder, threads=settings.engine.threads)
    except Fault as fault:
        raise CannotStart(f"{fault.message}. Next step: bleedwatch doctor") from None
    try:
        with alone(settings.state_folder, PROGRAM):
            recorded = _record_engine_if_possible(ledger, engine)
            _run(settings, ledger, engine, stop, manager, recorded=recorded)
    finally:
        engine.backend.close()
        ledger.close()


def _record_engine_if_possible(ledger: Ledger, engine: LoadedEngine) -> bool:
    """Returns False where the ledger cannot be written now and the engine is the one that it knows: a bleed can be found
    and told of all the same. Fault for any other engine, whose scores must not be mixed with those that stand there."""
    try:
        _record_engine(ledger, engine)
    except Fault as fault:
        with ledger.reading() as read:
            before = current_engine(read)
        if fault.reason not in LEDGER_FAULTS or before is None or before.engine_sha256 != engine.card.sha256:
            raise
        return False
    return True


def _record_engine(ledger: Ledger, engine: LoadedEngine) -> None:
    with ledger.writing() as write:
        before = current_engine(write)
        if before and before.engine_sha256 != engine.card.sha256:
            _forget_other_scores(write)
        golden = {"largest": f"{engine.golden_distance:.2g}", "allowed": f"{engine.golden.allowed_logit:g}"}
        # No engine serves that has not just passed its golden test.
        for kind, details in (("GOLDEN", golden), ("LOADED", {})):
            record_engine_event(
                write,
                kind,
                engine_sha256=engine.card.sha256,
                engine_name=f"{engine.card.name} {engine.card.version}",
                backend=engine.backend.name,
                at_ns=now().wall_ns,
                details=details,
            )


def _forget_other_scores(write: Connection) -> None:
    """A reading uses one engine: what is open is scored again. Its alerts stand meanwhile."""
    for study in open_studies(write):
        for series in series_of(write, study.id):
            forget_scores(write, series.id)


def _run(
    settings: Settings,
    ledger: Ledger,
    engine: LoadedEngine,
    stop: threading.Event,
    manager: ServiceManager,
    *,
    recorded: bool,
) -> None:
    watcher = Watcher(settings.inbox.folder)
    try:
        watcher.start()
    except OSError as error:
        raise CannotStart(f"{settings.inbox.folder} cannot be watched: {error.strerror}") from None
    try:
        with ReaderPool(now().monotonic_s) as pool:
            triage = make_triage(
                settings,
                ledger,
                engine,
                pool,
                watcher,
                now(),
                fast=fast_road(settings, engine),
                why="the program has just begun",
                choosing=Choosing(partial(choose, settings.engine, engine.card.sha256)),
            )
            if not recorded:
                triage.keeping.owe(partial(_record_engine, ledger, engine), now())
            try:
                triage.start(now())
                facts = {"engine": engine.card.version, "backend": engine.backend.name}
                log.info("watching", extra={"facts": facts})
                beat = _beat(settings, engine, triage, manager)
                run_ticks(
                    triage.tick,
                    stop=stop,
                    rest=_rest(triage, pool, watcher),
                    beat=beat,
                    manager=manager,
                    hurry=lambda: triage.keeping.news,
                )
            finally:
                triage.close()
    finally:
        watcher.stop()
        remove_status(settings.runtime_folder, PROGRAM)


def _rest(triage: Triage, pool: ReaderPool, watcher: Watcher) -> Callable[[], None]:
    """Not at all while a slice waits; until a reader answers while one reads; else until a file lands."""

    def rest() -> None:
        if triage.has_work():
            return
        if pool.busy:
            pool.wait(BUSY_REST_S)
        else:
            watcher.woken.wait(IDLE_REST_S)
        watcher.woken.clear()

    return rest


def _beat(settings: Settings, engine: LoadedEngine, triage: Triage, manager: ServiceManager) -> Callable[[Now], None]:
    status = StatusFile(settings.runtime_folder, PROGRAM)
    name = f"{engine.card.name} {engine.card.version}"

    def beat(moment: Now) -> None:
        facts = triage.facts(moment)
        manager.status(
            f"Watching the inbox. Engine {name} on {facts['backend']}. "
            f"Studies open: {triage.open_studies}, files waiting: {triage.waiting_files}."
        )
        keeping = triage.keeping
        keeping.news = False
        faults = (CANNOT_WRITE,) if LEDGER_FACT in facts else ()
        status.beat(moment, faults=faults, facts={"engine": name, **facts}, unrecorded=keeping.unrecorded)

    return beat
