"""The courier's notebook when more than the ledger fails: a backup is put back, another version, no place for an answer."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from pysqlite3 import dbapi2

from appliance.core.alerts import Happening
from appliance.core.errors import Fault
from appliance.core.status import Unrecorded
from appliance.core.words import Level
from appliance.courier import books
from appliance.courier.books import AWAITED_S
from appliance.courier.lookout import LEDGER_QUIET_S
from appliance.records.alerts import append_event, existing_alert, open_alerts, raise_alert
from appliance.records.check import check
from appliance.records.ledger import Ledger
from appliance.records.notebook import open_notebook
from tests.real.couriers import (
    PAGE,
    Box,
    all_at_once,
    answers,
    events,
    ladder,
    messages,
    steps_taken,
    wait_until,
    webhook,
)
from tests.real.gateways import Gateway
from tests.real.scenes import Scene
from tests.real.small_disk import held_by_another


@contextmanager
def unreadable(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The disk of the ledger answers nothing."""

    def fails(*_: object, **__: object) -> None:
        raise Fault("ledger-not-writable", "SQLite: SQLITE_IOERR")

    with monkeypatch.context() as patched:
        for name in ("reading", "writing", "data_version"):
            patched.setattr(ledger, name, fails)
        yield


def unrecorded_of(study_id: int, at_ns: int) -> Unrecorded:
    return Unrecorded(study_id=study_id, happening="RAISED", level="CRITICAL", finality="PROVISIONAL", at_ns=at_ns)


def of_alert(gateway: Gateway, alert_id: int) -> list[str]:
    return [one.key for one in gateway.received if one.document["alert"] == alert_id]


def test_a_backup_that_is_put_back_takes_what_it_knows_and_the_alert_is_told_on(
    ledger_path: Path, tmp_path: Path, gateway: Gateway
) -> None:
    backup = tmp_path / "backup.db"
    with Ledger.open(ledger_path) as lost:
        box = Box(lost, pages=(PAGE,))
        alert = box.ring(Scene(ledger=lost, store=tmp_path / "store", now_ns=0))
        with dbapi2.connect(str(ledger_path)) as of, dbapi2.connect(str(backup)) as to:
            of.backup(to)
        names = ("pager", "lead", "chief")
        rungs = [(60.0 * n, webhook(gateway, name)) for n, name in enumerate(names)]
        policy = ladder(*rungs, nobody_after_s=1e9, grace_s=1e9)
        killed = box.courier(policy)
        box.settle(killed)
        box.settle(killed, after_s=61.0)
        with held_by_another(ledger_path):
            box.settle(killed, after_s=60.0)
        assert (len(gateway.received), box.notebook.exists()) == (3, True)
    with Ledger.open(backup) as restored:
        after = Box(restored, at=box.at.plus(5.0), pages=(PAGE,), notebook=box.notebook)
        made = after.courier(policy)
        after.settle(made)
        assert steps_taken(restored, alert.id)[0] == ("Chief", "time")
        assert not after.notebook.exists()
        assert {one.channel for one in messages(restored, alert.id)} == {"pager", "chief"}, "that step is not known"
        with restored.reading() as r:
            assert existing_alert(r, alert.id).sounds
        assert check(restored) == []
        assert len(of_alert(gateway, alert.id)) > 3, "nobody else watched over it"
        made.close()


def test_a_notebook_that_breaks_a_rule_of_the_ledger_keeps_nobody_from_being_told(
    ledger: Ledger, scene: Scene, gateway: Gateway
) -> None:
    box = Box(ledger)
    alert = box.ring(scene)
    made = box.courier(all_at_once(webhook(gateway), nobody_after_s=1e9))
    with held_by_another(ledger.path):
        box.settle(made)
        with dbapi2.connect(str(box.notebook)) as spoilt:
            spoilt.execute("UPDATE delivery SET idempotency_key = 'x'")
    with dbapi2.connect(str(ledger.path)) as other:
        other.execute("PRAGMA foreign_keys = OFF")
        other.execute(
            "INSERT INTO delivery (alert_id, event_id, channel, idempotency_key, state, attempts, created_ns, due_ns, "
            "last_error) VALUES (99, 99, 'gone', 'x', 'DUE', 0, 1, 1, '')"
        )
    box.settle(made, after_s=1.1)
    assert not box.notebook.exists()
    assert set(of_alert(gateway, alert.id)) == {messages(ledger, alert.id)[0].idempotency_key}
    assert len(answers(ledger, alert.id)) == 1
    made.close()


def test_a_notebook_of_another_version_is_thrown_away(ledger: Ledger, scene: Scene, gateway: Gateway) -> None:
    box = Box(ledger)
    alert = box.ring(scene)
    open_notebook(box.notebook).close()
    with dbapi2.connect(str(box.notebook)) as older:
        older.execute("PRAGMA user_version = 1")
        older.execute("ALTER TABLE delivery DROP COLUMN last_status")
    with held_by_another(ledger.path):
        made = box.courier(all_at_once(webhook(gateway), nobody_after_s=1e9))
        box.settle(made)
        assert len(of_alert(gateway, alert.id)) == 1
    box.settle(made, after_s=1.1)
    assert len(answers(ledger, alert.id)) == 1
    made.close()


def test_a_notebook_that_cannot_be_opened_for_a_moment_is_kept(
    ledger: Ledger, scene: Scene, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = Box(ledger)
    alert = box.ring(scene)
    policy = all_at_once(webhook(gateway), nobody_after_s=1e9)
    with held_by_another(ledger.path):
        killed = box.courier(policy)
        box.settle(killed)
        # It is dropped as it stands.
        with monkeypatch.context() as patched:

            def no_room(_path: Path) -> Ledger:
                raise Fault("ledger-not-writable", "SQLite: SQLITE_FULL")

            patched.setattr(books, "open_notebook", no_room)
            made = box.courier(policy)
        assert box.notebook.exists()
        box.settle(made, after_s=1.1)
    box.settle(made, after_s=1.1)
    (told,) = messages(ledger, alert.id)
    assert {one.key for one in gateway.received} == {told.idempotency_key}
    assert len(answers(ledger, alert.id)) == 1
    made.close()


def test_a_notebook_that_is_damaged_keeps_nobody_from_being_told(
    ledger: Ledger, scene: Scene, gateway: Gateway
) -> None:
    box = Box(ledger)
    box.ring(scene)
    made = box.courier(all_at_once(webhook(gateway), nobody_after_s=1e9))
    with held_by_another(ledger.path):
        box.settle(made)
        assert len(gateway.received) == 1
        for one in box.notebook.parent.glob("courier.notebook*"):
            one.write_bytes(b"x" * one.stat().st_size)
        box.settle(made, after_s=1.1)
    box.settle(made, after_s=1.1)
    assert not box.notebook.exists() and made.faults == ()
    assert len({one.key for one in gateway.received}) == 1
    made.close()


def test_a_message_under_way_about_an_alert_that_is_never_recorded_ends_nothing(
    ledger: Ledger, scene: Scene, gateway: Gateway
) -> None:
    go = threading.Event()
    gateway.answer = lambda n: (204, {}, 0.0) if n > 1 and go.wait(15) else (503, {}, 0.0)
    study = scene.study("PHANTOM^TWO", number=2)
    box = Box(ledger, pages=(PAGE,))
    made = box.courier(all_at_once(webhook(gateway, read_timeout_s=20.0), nobody_after_s=1e9))
    box.unrecorded = (unrecorded_of(study.study_id, box.at.wall_ns),)
    box.settle(made)
    box.unrecorded = ()
    box.after(made, 0.1)
    box.after(made, AWAITED_S - 10)
    wait_until(lambda: len(gateway.received) == 2)
    box.after(made, 11.0)
    assert not box.notebook.exists(), "nobody waits for it any more"
    go.set()
    box.settle(made)
    alert = box.ring(scene)
    box.settle(made)
    assert len(answers(ledger, alert.id)) == 1
    assert check(ledger) == []
    made.close()


def test_an_answer_that_comes_while_the_ledger_cannot_even_be_read_is_recorded_later(
    ledger: Ledger, scene: Scene, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    go = threading.Event()
    gateway.answer = lambda _n: (204, {}, 0.0) if go.wait(15) else (500, {}, 0.0)
    box = Box(ledger)
    alert = box.ring(scene)
    made = box.courier(all_at_once(webhook(gateway, read_timeout_s=20.0), nobody_after_s=1e9))
    made.tick(box.at)
    wait_until(lambda: len(gateway.received) == 1)
    with unreadable(ledger, monkeypatch):
        box.at = box.at.plus(1.1)
        made.tick(box.at)
        go.set()
        for _ in range(3):
            box.at = box.at.plus(1.1)
            made.tick(box.at)
        assert made.record(box.at), "there is no row for its answer yet"
    box.settle(made, after_s=1.1)
    assert len(gateway.received) == 1
    assert [one.happening for one in answers(ledger, alert.id)] == [Happening.DELIVERED]
    made.close()


def test_an_alert_of_the_study_that_rang_before_does_not_hide_what_is_not_recorded(
    ledger: Ledger, scene: Scene, gateway: Gateway
) -> None:
    box = Box(ledger, pages=(PAGE,))
    before = box.ring(scene)
    scene.acknowledge(before, "R. Example", before_s=0.0)
    made = box.courier(all_at_once(webhook(gateway), nobody_after_s=1e9))
    box.settle(made)
    assert gateway.received == []
    assert before.study_id is not None
    box.unrecorded = (unrecorded_of(before.study_id, box.at.wall_ns + 1),)
    box.settle(made, after_s=1.1)
    assert [one.document["recorded"] for one in gateway.received] == [False]
    made.close()


def test_what_is_no_critical_is_not_told_before_it_is_recorded(ledger: Ledger, scene: Scene, gateway: Gateway) -> None:
    study = scene.study("PHANTOM^ONE", number=1)
    box = Box(ledger, pages=(PAGE,))
    made = box.courier(all_at_once(webhook(gateway), nobody_after_s=1e9))
    box.unrecorded = (replace(unrecorded_of(study.study_id, box.at.wall_ns), level="REVIEW"),)
    for _ in range(3):
        box.settle(made, after_s=1.1)
    assert gateway.received == []
    made.close()


def test_what_rings_anew_when_the_ledger_is_back_begins_its_steps_anew(
    ledger: Ledger, scene: Scene, gateway: Gateway
) -> None:
    """A step that was taken in the notebook for the ringing before says nothing of this one."""
    box = Box(ledger, pages=(PAGE,))
    alert = box.ring(scene)
    rungs = [(0.0, webhook(gateway, "pager")), (60.0, webhook(gateway, "lead"))]
    made = box.courier(ladder(*rungs, nobody_after_s=1e9, grace_s=1e9))
    box.settle(made)
    with held_by_another(ledger.path):
        box.settle(made, after_s=61.0)
        assert len(gateway.received) == 2
    with ledger.writing() as w:
        append_event(w, alert.id, Happening.ACKNOWLEDGED, at_ns=box.at.wall_ns, by="R. Example", details={})
        raise_alert(
            w, alert.key, Level.CRITICAL, study_id=alert.study_id, series_id=None, reading_id=None,
            at_ns=box.at.wall_ns + 1, details={}, by="triage", new_acquisition=True,
        )  # fmt: skip
    box.settle(made, after_s=1.1)
    assert steps_taken(ledger, alert.id) == []
    assert len(gateway.received) == 3
    box.settle(made, after_s=61.0)
    assert steps_taken(ledger, alert.id) == [("Lead", "time")]
    assert len(gateway.received) == len({one.key for one in gateway.received}) == 4
    assert check(ledger) == []
    made.close()


def test_a_fault_that_somebody_else_has_mended_meanwhile_is_mended_once(ledger: Ledger, gateway: Gateway) -> None:
    box = Box(ledger, pages=(PAGE,))
    made = box.courier(all_at_once(webhook(gateway), nobody_after_s=1e9))
    box.settle(made)
    box.down = {"triage"}
    for _ in range(20):
        box.settle(made, after_s=5.0)
    assert box.technical() == {"triage-silent"}
    with ledger.reading() as r:
        (fault,) = open_alerts(r)
    with held_by_another(ledger.path):
        box.down = set()
        for _ in range(2):
            box.settle(made, after_s=1.1)
    with ledger.writing() as w:
        append_event(w, fault.id, Happening.MENDED, at_ns=box.at.wall_ns, by="doctor", details={})
    box.settle(made, after_s=1.1)
    assert [one.by for one in events(ledger, fault.id, Happening.MENDED)] == ["doctor"]
    assert (made.faults, check(ledger)) == ((), [])
    made.close()


def test_who_answers_on_a_page_ends_the_telling_from_the_notebook_and_what_he_says_is_not_kept_there(
    ledger: Ledger, scene: Scene, gateway: Gateway
) -> None:
    box = Box(ledger, pages=(PAGE,))
    alert = box.ring(scene)
    other = scene.study("PHANTOM^TWO", number=2)
    made = box.courier(ladder((0.0, webhook(gateway)), repeat_s=60.0, nobody_after_s=1e9, grace_s=1e9))
    box.unrecorded = (unrecorded_of(other.study_id, box.at.wall_ns),)
    box.settle(made)
    assert len(of_alert(gateway, alert.id)) == 1 and len(gateway.received) == 2
    note = {"note": "HOSTILE^NAME has been seen"}
    with ledger.writing() as w:
        append_event(w, alert.id, Happening.ACKNOWLEDGED, at_ns=box.at.wall_ns, by="Somebody", details=note)
    for _ in range(3):
        box.settle(made, after_s=61.0)
    assert len(of_alert(gateway, alert.id)) == 1
    assert len(gateway.received) > 3, "the other one is told on"
    written = b"".join(one.read_bytes() for one in box.notebook.parent.glob("courier.notebook*"))
    assert b"HOSTILE" not in written
    made.close()


def test_a_ledger_that_fails_every_few_seconds_is_told_of_once(ledger: Ledger, scene: Scene, gateway: Gateway) -> None:
    box = Box(ledger, pages=(PAGE,))
    made = box.courier(all_at_once(webhook(gateway), nobody_after_s=1e9))
    box.settle(made)
    for number in range(1, 4):
        scene.now_ns = box.at.wall_ns
        scene.critical("PHANTOM^ONE", number, before_s=0.0)
        with held_by_another(ledger.path):
            for _ in range(4):
                box.settle(made, after_s=1.1)
        for _ in range(3):
            box.settle(made, after_s=1.1)
    assert box.technical() == {"ledger-not-writable"}
    box.settle(made, after_s=LEDGER_QUIET_S)
    assert box.technical() == set()
    with ledger.reading() as r:
        fault = existing_alert(r, 2)
    happened = [one.happening for one in events(ledger, fault.id, Happening.RAISED, Happening.MENDED)]
    assert happened == [Happening.RAISED, Happening.MENDED]
    made.close()
