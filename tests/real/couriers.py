"""A courier that a test drives by hand, on the real clock or one that the test moves."""

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from appliance.core.alerts import Happening
from appliance.core.escalation import EscalationPolicy, EscalationStep
from appliance.core.ledger import AlertEventRow, AlertRow, DeliveryRow
from appliance.core.status import PageSeen, ProgramStatus, Unrecorded
from appliance.core.times import Now
from appliance.core.words import Level
from appliance.courier.courier import Courier
from appliance.courier.policy import ChannelPolicy, CourierPolicy, WebhookPolicy
from appliance.processes.clock import now
from appliance.records.alerts import events_of, open_alerts
from appliance.records.deliveries import deliveries_of
from appliance.records.ledger import Ledger
from tests.real.gateways import Gateway
from tests.real.scenes import Scene

SECRET = b"a shared secret of the test"
PAGE = PageSeen(page_id="a" * 16, armed=True, last_word_s_ago=0.2)


def webhook(gateway: Gateway, name: str = "pager", **more: Any) -> WebhookPolicy:
    return WebhookPolicy(name=name, url=gateway.url, secret=SECRET, **more)


def all_at_once(*channels: ChannelPolicy, **more: Any) -> CourierPolicy:
    """Every channel on one step, at once."""
    names = tuple(one.name for one in channels)
    steps = (EscalationStep(name="Everyone", after_s=0.0, channels=names),) if names else ()
    return CourierPolicy(channels=channels, escalation=EscalationPolicy(steps=steps, repeat_s=1e9), **more)


def ladder(*steps: tuple[float, ChannelPolicy], repeat_s: float = 1e9, **more: Any) -> CourierPolicy:
    """A step for each channel, each after its seconds, called as its channel with a capital letter."""
    taken = tuple(
        EscalationStep(name=one.name.capitalize(), after_s=after_s, channels=(one.name,)) for after_s, one in steps
    )
    channels = tuple({one.name: one for _, one in steps}.values())
    return CourierPolicy(
        channels=channels, escalation=EscalationPolicy(steps=taken, repeat_s=repeat_s), **{"grace_s": 0.0, **more}
    )


def alive(program: str) -> ProgramStatus:
    """A program that lives; the dashboard has one live page."""
    pages = (PAGE,) if program == "dashboard" else ()
    return ProgramStatus(program=program, pid=1, started_ns=0, beat_monotonic_s=time.monotonic(), pages=pages)


def started(policy: CourierPolicy, ledger: Ledger) -> Courier:
    """A courier on the real clock, the other programs living."""
    return Courier(
        policy,
        ledger,
        statuses=alive,
        random=lambda: 0.5,
        wall_ns=time.time_ns,
        started=now(),
        notebook=notebook_of(ledger),
    )


def notebook_of(ledger: Ledger) -> Path:
    """Where the couriers of a test write while its ledger cannot be written."""
    return ledger.path.with_name("courier.notebook")


@contextlib.contextmanager
def courier(ledger: Ledger, policy: CourierPolicy) -> Iterator[Courier]:
    """The same; at the end what is under way is waited for and recorded."""
    made = started(policy, ledger)
    try:
        yield made
        tick_until(made, lambda: not made.record(now()), within_s=8)
    finally:
        made.close()


def tick_until(made: Courier, done: Callable[[], bool], *, within_s: float = 5.0, ahead_s: float = 0.0) -> None:
    until_s = time.monotonic() + within_s
    while time.monotonic() < until_s:
        made.tick(now().plus(ahead_s))
        if done():
            return
        time.sleep(0.01)
    raise AssertionError("it did not happen in time")


def tick_for(made: Courier, seconds: float, *, ahead_s: float = 0.0) -> None:
    until_s = time.monotonic() + seconds
    while time.monotonic() < until_s:
        made.tick(now().plus(ahead_s))
        time.sleep(0.01)


def wait_until(done: Callable[[], bool], *, within_s: float = 5.0) -> None:
    until_s = time.monotonic() + within_s
    while not done():
        assert time.monotonic() < until_s, "it did not happen in time"
        time.sleep(0.005)


@dataclass
class Box:
    """The other programs as their status files show them, on a clock that the test moves."""

    ledger: Ledger
    at: Now = field(default_factory=now)
    down: set[str] = field(default_factory=set)
    pages: tuple[PageSeen, ...] = ()
    unrecorded: tuple[Unrecorded, ...] = ()
    notebook: Path = Path()

    def __post_init__(self) -> None:
        if self.notebook == Path():
            self.notebook = notebook_of(self.ledger)

    def status(self, program: str) -> ProgramStatus | None:
        if program in self.down:
            return None
        return ProgramStatus(
            program=program,
            pid=1,
            started_ns=0,
            beat_monotonic_s=self.at.monotonic_s,
            pages=self.pages if program == "dashboard" else (),
            unrecorded=self.unrecorded if program == "triage" else (),
        )

    def courier(self, policy: CourierPolicy = CourierPolicy(nobody_after_s=1e9)) -> Courier:
        return Courier(
            policy,
            self.ledger,
            statuses=self.status,
            random=lambda: 0.5,
            wall_ns=lambda: self.at.wall_ns,
            started=self.at,
            notebook=self.notebook,
        )

    def after(self, made: Courier, seconds: float) -> set[str]:
        """Ticks `seconds` later; the codes of the technical alerts that are open then."""
        self.at = self.at.plus(seconds)
        made.tick(self.at)
        return self.technical()

    def ring(self, scene: Scene) -> AlertRow:
        """A CRITICAL that begins to ring now, by the clock of this box."""
        scene.now_ns = self.at.wall_ns
        return scene.critical("PHANTOM^ONE", 1, before_s=0.0)

    def settle(self, made: Courier, *, after_s: float = 0.0) -> None:
        """Waits, on the real clock, until what is under way `after_s` later has been answered and recorded."""
        self.at = self.at.plus(after_s)
        made.tick(self.at)
        wait_until(lambda: not made.record(self.at))
        made.tick(self.at)

    def technical(self) -> set[str]:
        with self.ledger.reading() as r:
            return {alert.key.first for alert in open_alerts(r) if alert.level is Level.TECHNICAL}


def events(ledger: Ledger, alert_id: int, *happenings: Happening, by: str | None = None) -> list[AlertEventRow]:
    """What happened to an alert, of these kinds, told by whom."""
    with ledger.reading() as r:
        return [one for one in events_of(r, alert_id) if one.happening in happenings and by in (None, one.by)]


def answers(ledger: Ledger, alert_id: int, channel: str = "pager") -> list[AlertEventRow]:
    """What a channel answered."""
    return events(ledger, alert_id, Happening.DELIVERED, Happening.FAILED, by=channel)


def steps_taken(ledger: Ledger, alert_id: int) -> list[tuple[str, str]]:
    """Name and reason of each step."""
    return [(one.details["name"], one.details["why"]) for one in events(ledger, alert_id, Happening.ESCALATED)]


def messages(ledger: Ledger, alert_id: int) -> list[DeliveryRow]:
    """The messages about an alert."""
    with ledger.reading() as r:
        return deliveries_of(r, alert_id)


def attempts(ledger: Ledger, alert_id: int) -> int:
    return sum(one.attempts for one in messages(ledger, alert_id))
