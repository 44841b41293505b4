"""The bar on top of the study page: one word, whose scan it is, and the one button."""

from appliance.core.alerts import Happening
from appliance.core.words import Level, Outcome, StudyState
from appliance.dashboard.board.views import Moment
from appliance.dashboard.study.log import news_began
from appliance.dashboard.study.views import Verdict
from appliance.dashboard.words import judged_words, wording
from appliance.dashboard.words.header_text import header_text
from appliance.dashboard.words.moments import SECOND_NS, lasted
from appliance.records.board import BoardAlert
from appliance.records.whole_study import WholeStudy


def verdict_of(whole: WholeStudy, moment: Moment) -> Verdict:
    """An alert speaks first; without one the outcome does."""
    if whole.alert is not None:
        return _of_alert(whole, whole.alert, moment)
    return _of_outcome(whole, moment)


def _of_alert(whole: WholeStudy, alert: BoardAlert, moment: Moment) -> Verdict:
    row = alert.alert
    critical = row.level is Level.CRITICAL
    began_ns, _ = news_began(alert.news, whole.speaking)
    name, identity = _who(whole, moment)
    if row.acknowledged_ns is None:
        gone = _withdrawn_after(alert)
        return Verdict(
            look="critical" if critical else "review",
            icon="critical" if critical else "review",
            word=row.level.value,
            beacon=critical,
            name=name,
            identity=identity,
            age=moment.age(f"study-{whole.study.id}-age", began_ns),
            age_small=f"Withdrawn after {gone}, nobody has seen it" if gone else "nobody has seen it",
            button="Acknowledge",
            action="acknowledge",
            target=row.id,
            event=alert.changed.id,
        )
    seen = moment.calendar.when(row.acknowledged_ns, moment.now_ns)
    took = lasted(max(0.0, (row.acknowledged_ns - began_ns) / SECOND_NS))
    lead, small = f"Acknowledged {seen}", (f"{row.acknowledged_by}, after {took}",)
    look = f"{'critical' if critical else 'review'} seen"
    if row.withdrawn:
        gone_ns = [event.at_ns for event in alert.events if event.happening is Happening.WITHDRAWN][-1]
        lead, small = (
            f"Withdrawn {moment.calendar.when(gone_ns, moment.now_ns)}",
            (f"seen {seen}, {row.acknowledged_by}",),
        )
        look = "withdrawn"
    judged = (f"Judged {judged_words.FULL[row.judged].lower()}",) if row.judged else ()
    return Verdict(
        look=look,
        icon="withdrawn" if row.withdrawn else "critical" if critical else "review",
        word=row.level.value,
        name=name,
        identity=identity,
        lead=lead,
        small=(*small, *judged),
    )


def _of_outcome(whole: WholeStudy, moment: Moment) -> Verdict:
    study = whole.study
    name, identity = _who(whole, moment)
    if study.state is StudyState.OPEN or study.outcome is None:
        last = moment.age(f"study-{study.id}-age", study.last_landed_ns)
        small = "since the last slice"
        return Verdict(
            look="scanning", icon="scanning", word="SCANNING", name=name, identity=identity, age=last, age_small=small
        )
    closed_ns = study.closed_ns or study.last_landed_ns
    look = wording.LOOK[study.outcome]
    unread = study.outcome is Outcome.NOT_ANALYSED and whole.may_be_head
    if unread and not study.seen_by:
        return Verdict(
            look=f"{look} amber",
            icon=look,
            word=study.outcome.value,
            name=name,
            identity=identity,
            age=moment.age(f"study-{study.id}-age", closed_ns),
            age_small="nobody has read it",
            button="I have seen it",
            action="seen",
            target=study.id,
        )
    small_words = (f"seen by {study.seen_by}",) if study.seen_by else ()
    lead = f"Ended {moment.calendar.when(closed_ns, moment.now_ns)}"
    return Verdict(
        look=look, icon=look, word=study.outcome.value, name=name, identity=identity, lead=lead, small=small_words
    )


def _withdrawn_after(alert: BoardAlert) -> str:
    if not alert.alert.withdrawn:
        return ""
    gone = [event for event in alert.events if event.happening is Happening.WITHDRAWN][-1]
    return lasted(max(0.0, (gone.at_ns - alert.news.at_ns) / SECOND_NS))


def _who(whole: WholeStudy, moment: Moment) -> tuple[str, tuple[str, ...]]:
    """Name and identity, never the name alone; the whole of both, however long."""
    facts = whole.study.facts
    described = header_text(facts.description)
    landed = f"landed {moment.calendar.at(whole.study.opened_ns):%Y-%m-%d %H:%M}"
    parts = [*wording.identity(facts), *([described] if described else []), landed]
    return wording.name(facts.patient), tuple(parts)
