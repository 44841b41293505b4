"""Four sums over the alerts of a time: how soon they were seen, escalated, delivered, judged. No patient among them."""

from dataclasses import dataclass
from statistics import median

import sqlalchemy as sa

from appliance.core.alerts import Happening
from appliance.core.times import NS_PER_S
from appliance.core.words import Level
from appliance.records.deliveries import NEEDLESS
from appliance.records.ledger import Connection
from appliance.records.models import alert, alert_event, delivery


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertSums:
    """`seen_s`: how long each CRITICAL sounded until a person answered (of one that sounded anew: the last time), sorted;
    `unseen`: those nobody has answered yet. `escalated` of `criticals` went to a further step. Of messages: given up,
    still owed, and accepted only after several attempts. `judged` of `to_judge` clinical alerts, the judged
    ones among them; while one is open nobody judges it."""

    seen_s: tuple[float, ...]
    unseen: int
    criticals: int
    escalated: int
    dead_letters: int
    owed: int
    repeated: int
    judged: int
    to_judge: int

    @property
    def median_s(self) -> float | None:
        """The middle of `seen_s`, None where nobody has answered any."""
        return median(self.seen_s) if self.seen_s else None

    @property
    def slowest_s(self) -> float | None:
        """The longest of `seen_s`."""
        return self.seen_s[-1] if self.seen_s else None


def sum_alerts(r: Connection, since_ns: int) -> AlertSums:
    """The sums of the alerts that were first raised at or after this time."""
    recent = alert.c.raised_ns >= since_ns
    critical = recent & (alert.c.kind == "clinical") & (alert.c.level == Level.CRITICAL)
    times = r.execute(sa.select(alert.c.sounded_ns, alert.c.acknowledged_ns).where(critical)).all()
    seen = sorted(max(0, row[1] - row[0]) / NS_PER_S for row in times if row[0] is not None and row[1] is not None)
    step = (alert_event.c.alert_id == alert.c.id) & (alert_event.c.kind == Happening.ESCALATED)
    escalated = sa.select(sa.func.count()).where(critical & sa.select(alert_event.c.id).where(step).exists())
    answered = recent & (alert.c.kind == "clinical") & (~alert.c.open | alert.c.judged.is_not(None))
    to_judge, judged = r.execute(sa.select(sa.func.count(), sa.func.count(alert.c.judged)).where(answered)).one()
    dead, owed, repeated = r.execute(_messages(since_ns)).one()
    return AlertSums(
        seen_s=tuple(seen),
        unseen=sum(row[1] is None for row in times),
        criticals=len(times),
        escalated=int(r.execute(escalated).scalar_one()),
        dead_letters=int(dead),
        owed=int(owed),
        repeated=int(repeated),
        judged=int(judged),
        to_judge=int(to_judge),
    )


def _messages(since_ns: int) -> sa.Select[int, int, int]:
    accepted = (delivery.c.state == "DONE") & (delivery.c.last_error != NEEDLESS)
    return sa.select(
        sa.func.count().filter(delivery.c.state == "DEAD"),
        sa.func.count().filter(delivery.c.state == "DUE"),
        sa.func.count().filter(accepted & (delivery.c.attempts > 1)),
    ).where(delivery.c.created_ns >= since_ns)
