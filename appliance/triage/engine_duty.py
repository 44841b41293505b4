"""Who reads now: brings the fast backend up beside the spare, sees it fail, and has the spare read meanwhile."""

import logging
from collections import deque
from collections.abc import Callable, Set
from datetime import datetime
from typing import Final

from appliance.core.engine_duty import (
    FAULTS,
    FELL_BACK,
    REFUSED,
    Duty,
    DutyEvent,
    DutyState,
    OnRefused,
    advance,
    begin,
)
from appliance.core.errors import Fault
from appliance.core.times import NS_PER_S, Now
from appliance.inference.backend import Backend, BackendLost, ProcessBackend, Starting
from appliance.inference.choice import Choosing
from appliance.inference.loading import LoadedEngine
from appliance.inference.manifest import EngineRefused
from appliance.inference.plan_files import PlanRefused
from appliance.records.engines import record_engine_event
from appliance.records.ledger import Connection, Ledger
from appliance.triage.fast_road import Build, FastRoad
from appliance.triage.plan_build import BuildEnd
from appliance.triage.self_test import SelfTest
from appliance.triage.technical import TechnicalAlerts

log = logging.getLogger(__name__)

CHECK_S: Final = 2.0
WRITE_AGAIN_S: Final = 2.0
WRITE_PATIENCE_MS: Final = 100  # no slice waits longer for another program that writes
MOST_OWED: Final = 100  # events that the ledger has not taken
_SUBJECT: Final = "engine"
_WRONG: Final = "engine-golden-failed"


class EngineDuty:
    """Owns both backends. Nothing in it waits for the fast one longer than its deadline for one answer."""

    def __init__(
        self,
        *,
        spare: LoadedEngine,
        fast: FastRoad | None,
        why: str,
        ledger: Ledger,
        technical: TechnicalAlerts,
        now: Now,
        choosing: Choosing | None = None,
    ) -> None:
        """`why`: in words, why the fast one is wanted, or why there is none. `choosing`: says later whether it is."""
        self.card = spare.card
        self._spare = spare.backend
        self._road = fast
        self._choosing = choosing
        self._ledger = ledger
        self._technical = technical
        self._starting: Starting | None = None
        self._fast: ProcessBackend | None = None
        self._build: Build | None = None
        self._owed: deque[Callable[[Connection], None]] = deque(maxlen=MOST_OWED)
        self._write_again_s = float("-inf")
        self._checked_s = now.monotonic_s
        self._spare_test = SelfTest(spare.golden, now.monotonic_s)
        self._fast_test: SelfTest | None = None
        wanted = None if choosing is not None else fast is not None
        self._duty = begin(fast_wanted=wanted, why=why, now_s=now.monotonic_s)
        technical.mend(_WRONG, _SUBJECT, now, "the engine has passed its test again")

    # -- who reads -----------------------------------------------------------------------------------

    @property
    def duty(self) -> Duty:
        """How it stands."""
        return self._duty

    @property
    def spare(self) -> Backend:
        """The backend on the processor."""
        return self._spare

    @property
    def serving(self) -> Backend | None:
        """Whom a series is given to that begins now; None where nobody may read."""
        if self._duty.stopped:
            return None
        return self._fast or self._spare

    def backend_of(self, backends: Set[str]) -> Backend | None:
        """Whom the next slice of a series is given to, whose scores are of these backends: a reading never mixes two."""
        if self._fast is not None and backends == {self._fast.name}:
            return self._fast
        if backends == {self._spare.name} and not self._duty.stopped:
            return self._spare
        return self.serving

    def can_go_on(self, backends: Set[str]) -> bool:
        """Whether a series with scores of these backends can be read on as it is; else it is read anew."""
        names = {self._spare.name} | ({self._fast.name} if self._fast else set())
        return len(backends) <= 1 and backends <= names

    @property
    def name(self) -> str:
        """Of the backend that reads."""
        return (self.serving or self._spare).name

    def facts(self, now: Now) -> dict[str, str | int | float]:
        """For the status file."""
        facts: dict[str, str | int | float] = {
            "backend": self.name,
            "engine_duty": (DutyState.STOPPED if self._duty.stopped else self._duty.state).value,
            "engine_why": self._duty.why,
        }
        if self._duty.retry_s is not None:
            facts["engine_retry_s"] = round(max(0.0, self._duty.retry_s - now.monotonic_s), 1)
        if self._build is not None:
            facts["engine_build"] = self._build.said
        return facts

    # -- what happens ----------------------------------------------------------------------------------

    def tick(self, now: Now, *, idle: bool) -> None:
        """One look. `idle`: no slice waits.

        Fault `engine-golden-failed` where the spare answers its test pictures wrongly: the program must begin anew.
        """
        match self._duty.state:
            case DutyState.CHOOSING:
                self._choose(now)
            case DutyState.STARTING:
                self._bring_up(now)
            case DutyState.ON_GPU:
                self._check(now)
            case DutyState.REBUILDING:
                self._look_at_build(now)
            case DutyState.DEGRADED | DutyState.STOPPED:
                if self._duty.retry_s is not None and now.monotonic_s >= self._duty.retry_s:
                    self._move(DutyEvent.DUE, now, why=f"trying again: {self._duty.why}")
        self._test(now, idle=idle)
        self._tell(now)
        self._catch_up(now)

    def lost(self, fault: Fault, now: Now) -> None:
        """The fast backend did not answer: from now on the spare reads."""
        self._drop_fast()
        self._move(DutyEvent.LOST, now, why=fault.message, fault=_code(fault))
        self._record("BACKEND", self._spare.name, now, {"why": fault.message})
        self._tell(now)

    def close(self) -> None:
        """Ends what runs beside us. The spare is its owner's."""
        self._drop_fast()
        if self._build is not None:
            self._build.close()
            self._build = None

    # -- coming up ---------------------------------------------------------------------------------------

    def _choose(self, now: Now) -> None:
        assert self._choosing is not None
        choice = self._choosing.poll()
        if choice is not None:
            self._move(DutyEvent.WANTED if choice.fast else DutyEvent.NOT_WANTED, now, why=choice.why)

    def _bring_up(self, now: Now) -> None:
        assert self._road is not None
        try:
            if self._starting is None:
                self._starting = self._road.start(now.monotonic_s)
            backend = self._starting.poll(now.monotonic_s)
            if backend is None:
                return
            if self._fast_test is None:
                self._fast_test = SelfTest(self._road.golden, now.monotonic_s)
            # One picture a turn: however slow the card is, no slice waits for more than one of its answers.
            distance = self._fast_test.hold_next(backend, now.monotonic_s)
        except PlanRefused as refused:
            self._refused(str(refused), now)
        except EngineRefused as refused:
            self._refused(refused.message, now)
        except Fault as fault:
            self._drop_fast()
            self._move(DutyEvent.LOST, now, why=fault.message, fault=_code(fault))
        else:
            if distance is not None:
                self._serve(backend, distance, now)

    def _serve(self, backend: ProcessBackend, distance: float, now: Now) -> None:
        assert self._road is not None
        self._fast, self._starting = backend, None
        self._checked_s = now.monotonic_s
        self._move(DutyEvent.SERVES, now, why="it has proven itself")
        golden = {"largest": f"{distance:.2g}", "allowed": f"{self._road.golden.allowed_logit:g}"}
        self._record("GOLDEN", backend.name, now, golden)
        self._record("BACKEND", backend.name, now, {"why": self._duty.why})

    def _refused(self, why: str, now: Now) -> None:
        assert self._road is not None
        self._drop_fast()
        policy = self._road.on_refused
        code = REFUSED if policy is OnRefused.FAIL else FELL_BACK
        self._move(DutyEvent.REFUSED, now, why=why, fault=code, on_refused=policy)

    def _look_at_build(self, now: Now) -> None:
        assert self._road is not None
        try:
            if self._build is None:
                self._build = self._road.build(now.monotonic_s)
            end = self._build.poll(now.monotonic_s)
        except OSError as error:
            end = BuildEnd(built=False, said=f"the builder cannot be started ({error.strerror})")
        if end is None:
            return
        self._build = None
        if end.built:
            self._move(DutyEvent.BUILT, now, why="a new plan has been built")
        else:
            why = f"{self._duty.why} The new plan could not be built: {end.said}"
            self._move(DutyEvent.NOT_BUILT, now, why=why, fault=FELL_BACK)

    # -- while it serves ---------------------------------------------------------------------------------

    def _check(self, now: Now) -> None:
        if self._fast is None or now.monotonic_s - self._checked_s < CHECK_S:
            return
        self._checked_s = now.monotonic_s
        try:
            self._fast.check(now.monotonic_s)
        except BackendLost as fault:
            self.lost(fault, now)

    def _test(self, now: Now, *, idle: bool) -> None:
        if self._fast is not None and self._fast_test is not None:
            try:
                self._hold(self._fast_test, self._fast, now, idle=idle)
            except Fault as fault:
                self.lost(fault, now)
        try:
            self._hold(self._spare_test, self._spare, now, idle=idle)
        except EngineRefused:
            self._technical.raise_once(_WRONG, _SUBJECT, now)
            self._technical.make_blind(_WRONG, _SUBJECT, now)
            raise
        except Fault as fault:  # told of once a slice needs it
            log.error("the spare gives no answer to a test picture", extra={"facts": {"said": fault.message}})

    def _hold(self, test: SelfTest, backend: Backend, now: Now, *, idle: bool) -> None:
        if not test.is_due(now.monotonic_s, idle=idle):
            return
        largest = test.hold_next(backend, now.monotonic_s)
        if largest is not None:
            details = {"largest": f"{largest:.2g}", "allowed": f"{test.allowed_logit:g}"}
            self._record("GOLDEN", backend.name, now, details)

    # -- keeping and telling -------------------------------------------------------------------------------

    def _drop_fast(self) -> None:
        for one in (self._starting, self._fast):
            if one is not None:
                one.close()
        self._starting = self._fast = self._fast_test = None

    def _move(
        self, event: DutyEvent, now: Now, *, why: str, fault: str = "", on_refused: OnRefused = OnRefused.FALLBACK
    ) -> None:
        before = self._duty.state
        self._duty = advance(self._duty, event, now_s=now.monotonic_s, why=why, fault=fault, on_refused=on_refused)
        facts = {"from": before.value, "to": self._duty.state.value, "why": why, "reads": self.name}
        log.log(logging.WARNING if fault else logging.INFO, "the engine's duty has changed", extra={"facts": facts})

    def _tell(self, now: Now) -> None:
        """The alert that stands, and none beside it. Cheap while nothing changes; a ledger that fails is told later."""
        wanted = self._duty.fault
        for code in FAULTS:
            if code != wanted and (wanted or self._duty.state in (DutyState.ON_GPU, DutyState.SPARE_ONLY)):
                note = f"{self.name} reads" if not wanted else "something else is wrong now"
                self._technical.mend(code, _SUBJECT, now, note)
        if wanted:
            time = datetime.fromtimestamp(now.wall_ns / NS_PER_S).astimezone().strftime("%H:%M")
            self._technical.raise_once(wanted, _SUBJECT, now, time=time, why=self._duty.why)

    def _record(self, kind: str, backend: str, now: Now, details: dict[str, str]) -> None:
        """In its order, as soon as the ledger can be written: who reads does not wait for that."""

        def write_it(write: Connection) -> None:
            record_engine_event(
                write,
                kind,
                engine_sha256=self.card.sha256,
                engine_name=f"{self.card.name} {self.card.version}",
                backend=backend,
                at_ns=now.wall_ns,
                details=details,
            )

        self._owed.append(write_it)
        self._catch_up(now)

    def _catch_up(self, now: Now) -> None:
        """A ledger that fails is not tried at each turn: a slice waits for every try."""
        if now.monotonic_s < self._write_again_s:
            return
        try:
            while self._owed:
                with self._ledger.writing(patience_ms=WRITE_PATIENCE_MS) as write:
                    self._owed[0](write)
                self._owed.popleft()
        except Fault:
            self._write_again_s = now.monotonic_s + WRITE_AGAIN_S


def _code(fault: Fault) -> str:
    """Of the technical alert that a lost backend is told by."""
    return fault.reason if fault.reason in FAULTS else FELL_BACK
