"""While the ledger cannot be written, people are told all the same, once; and the ledger learns of it when it can."""

import shutil
import stat
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.core.alerts import Happening
from appliance.core.errors import Fault
from appliance.core.ledger import AlertRow
from appliance.core.pseudonyms import study_hash
from appliance.core.status import Unrecorded
from appliance.core.words import Finality, Level
from appliance.courier.courier import LEDGER_FAULT, REST_AFTER_FAULT_S
from appliance.courier.lookout import LEDGER_QUIET_S
from appliance.records.alerts import events_after, existing_alert, raise_alert
from appliance.records.check import check
from appliance.records.ledger import Ledger
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
from tests.real.scenes import Scanned, Scene
from tests.real.small_disk import empty, fill, held_by_another, small_disk


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "state", mib=8) as folder:
        yield folder


@pytest.fixture
def on_disk(disk: Path, migrated: Path) -> Iterator[Ledger]:
    """A ledger on a small disk; the notebook of its couriers lies elsewhere."""
    with Ledger.open(Path(shutil.copy(migrated, disk / "ledger.db"))) as opened:
        yield opened


def scene_of(ledger: Ledger, store: Path) -> Scene:
    return Scene(ledger=ledger, store=store, now_ns=time.time_ns())


def test_a_full_disk_keeps_no_critical_from_being_told(
    on_disk: Ledger, disk: Path, tmp_path: Path, gateway: Gateway
) -> None:
    alert = scene_of(on_disk, tmp_path / "store").critical("PHANTOM^ONE", 1)
    fill(disk)
    with pytest.raises(Fault):
        scene_of(on_disk, tmp_path / "store").technical("sop-conflict")
    box = Box(on_disk, notebook=tmp_path / "courier.notebook")
    made = box.courier(all_at_once(webhook(gateway), nobody_after_s=1e9))
    for _ in range(3):
        box.settle(made)
        box.after(made, 1.1)
    assert [one.document["alert"] for one in gateway.received] == [alert.id]
    assert made.faults == (LEDGER_FAULT,)
    assert messages(on_disk, alert.id) == []
    empty(disk)
    box.settle(made, after_s=1.1)
    assert (made.faults, len(gateway.received), box.notebook.exists()) == ((), 1, False)
    (told,) = messages(on_disk, alert.id)
    assert (told.state, told.attempts, told.idempotency_key) == ("DONE", 1, gateway.received[0].key)
    assert [one.happening for one in answers(on_disk, alert.id)] == [Happening.DELIVERED]
    assert check(on_disk) == []
    made.close()


def test_a_ledger_that_another_program_holds_keeps_no_critical_from_being_told(
    ledger: Ledger, tmp_path: Path, gateway: Gateway
) -> None:
    alert = scene_of(ledger, tmp_path / "store").critical("PHANTOM^ONE", 1)
    box = Box(ledger)
    made = box.courier(all_at_once(webhook(gateway), nobody_after_s=1e9))
    with held_by_another(ledger.path):
        box.settle(made)
        box.after(made, 1.1)
        assert [one.document["alert"] for one in gateway.received] == [alert.id]
    box.settle(made, after_s=1.1)
    assert len(gateway.received) == 1
    assert [one.happening for one in answers(ledger, alert.id)] == [Happening.DELIVERED]
    assert check(ledger) == []
    made.close()


def test_steps_and_repeats_keep_their_times_on_a_full_disk_and_stand_in_the_ledger_after(
    on_disk: Ledger, disk: Path, tmp_path: Path, gateway: Gateway
) -> None:
    alert = scene_of(on_disk, tmp_path / "store").critical("PHANTOM^ONE", 1)
    box = Box(on_disk, notebook=tmp_path / "courier.notebook", pages=(PAGE,))
    first, lead = webhook(gateway, "pager"), webhook(gateway, "lead")
    made = box.courier(ladder((0.0, first), (60.0, lead), repeat_s=300.0, nobody_after_s=1e9, grace_s=1e9))
    box.settle(made)
    fill(disk)
    told = []
    for seconds in (1.0, 50.0, 6.0, 298.0, 3.0, 1.0):
        box.settle(made, after_s=seconds)
        told.append(len(gateway.received))
    assert told == [1, 1, 2, 2, 4, 4]
    assert steps_taken(on_disk, alert.id) == []
    empty(disk)
    box.settle(made, after_s=1.1)
    assert steps_taken(on_disk, alert.id) == [("Lead", "time"), ("Everybody", "time")]
    assert len(gateway.received) == len({one.key for one in gateway.received}) == 4
    assert {one.idempotency_key for one in messages(on_disk, alert.id)} == {one.key for one in gateway.received}
    assert len(events(on_disk, alert.id, Happening.DELIVERED)) == 4
    assert check(on_disk) == []
    box.settle(made, after_s=290.0)
    assert len(gateway.received) == 4
    box.settle(made, after_s=15.0)
    assert len(gateway.received) == 6
    made.close()


def test_a_courier_that_is_killed_on_a_full_disk_tells_nobody_anew(
    on_disk: Ledger, disk: Path, tmp_path: Path, gateway: Gateway
) -> None:
    alert = scene_of(on_disk, tmp_path / "store").critical("PHANTOM^ONE", 1)
    box = Box(on_disk, notebook=tmp_path / "courier.notebook", pages=(PAGE,))
    policy = ladder((0.0, webhook(gateway, "pager")), (60.0, webhook(gateway, "lead")), nobody_after_s=1e9, grace_s=1e9)
    fill(disk)
    killed = box.courier(policy)
    box.settle(killed)
    box.settle(killed, after_s=61.0)
    before = {one.key for one in gateway.received}
    assert len(before) == 2
    # It is dropped as it stands: nothing is closed, nothing recorded.
    made = box.courier(policy)
    box.settle(made)
    box.settle(made, after_s=5.0)
    assert {one.key for one in gateway.received} == before
    empty(disk)
    box.settle(made, after_s=1.1)
    assert steps_taken(on_disk, alert.id) == [("Lead", "time")]
    assert {one.idempotency_key for one in messages(on_disk, alert.id)} == before
    assert {one.key for one in gateway.received} == before
    assert check(on_disk) == []
    made.close()


def test_a_courier_that_is_killed_while_it_gives_its_notebook_back_records_nothing_twice(
    ledger: Ledger, tmp_path: Path, gateway: Gateway
) -> None:
    alert = scene_of(ledger, tmp_path / "store").critical("PHANTOM^ONE", 1)
    box = Box(ledger)
    policy = ladder((0.0, webhook(gateway, "pager")), nobody_after_s=1e9, grace_s=1e9)
    made = box.courier(replace(policy, escalation=replace(policy.escalation, technical=("pager",))))
    with held_by_another(ledger.path):
        box.settle(made)
        box.settle(made, after_s=3.0)
        kept = [(one, one.read_bytes()) for one in box.notebook.parent.glob("courier.notebook*")]
    box.settle(made, after_s=1.1)
    box.settle(made, after_s=LEDGER_QUIET_S)
    made.close()
    with ledger.reading() as r:
        recorded = events_after(r, 0, 100)
    assert Happening.RAISED in {one.happening for one in recorded if one.alert_id != alert.id}
    for path, data in kept:
        path.write_bytes(data)
    again = box.courier(policy)
    box.settle(again)
    again.close()
    with ledger.reading() as r:
        assert events_after(r, 0, 100) == recorded
    assert check(ledger) == []


def test_a_gateway_that_is_ill_is_not_stormed_from_memory(ledger: Ledger, tmp_path: Path, gateway: Gateway) -> None:
    gateway.answer = lambda n: (503, {}, 0.0) if n < 3 else (204, {}, 0.0)
    alert = scene_of(ledger, tmp_path / "store").critical("PHANTOM^ONE", 1)
    box = Box(ledger)
    made = box.courier(all_at_once(webhook(gateway), nobody_after_s=1e9))
    asked = []
    with held_by_another(ledger.path):
        # random() is 0.5: half of 1 s, then half of 2 s.
        for seconds in (0.0, 0.49, 0.02, 0.97, 0.04, 30.0):
            box.settle(made, after_s=seconds)
            asked.append(len(gateway.received))
    assert asked == [1, 1, 2, 2, 3, 3]
    box.settle(made, after_s=1.1)
    assert len({one.key for one in gateway.received}) == 1
    assert [one.happening for one in answers(ledger, alert.id)] == [Happening.FAILED, Happening.DELIVERED]
    assert [one.attempts for one in messages(ledger, alert.id)] == [3]
    made.close()


def test_a_message_under_way_when_the_ledger_comes_back_is_recorded_there(
    ledger: Ledger, tmp_path: Path, gateway: Gateway
) -> None:
    go = threading.Event()
    alert = scene_of(ledger, tmp_path / "store").critical("PHANTOM^ONE", 1)
    box = Box(ledger, pages=(PAGE,))
    lead = webhook(gateway, "lead", read_timeout_s=20.0)
    made = box.courier(ladder((60.0, lead), nobody_after_s=1e9, grace_s=1e9))
    gateway.answer = lambda _n: (204, {}, 0.0) if go.wait(15) else (500, {}, 0.0)
    box.settle(made)
    with held_by_another(ledger.path):
        box.after(made, 61.0)
        wait_until(lambda: len(gateway.received) == 1)
    box.after(made, 1.1)
    assert steps_taken(ledger, alert.id) == [("Lead", "time")]
    assert [one.state for one in messages(ledger, alert.id)] == ["DUE"]
    go.set()
    box.settle(made)
    (told,) = messages(ledger, alert.id)
    assert (told.state, told.idempotency_key, len(gateway.received)) == ("DONE", gateway.received[0].key, 1)
    assert len(answers(ledger, alert.id, "lead")) == 1
    assert check(ledger) == []
    made.close()


def test_that_the_box_cannot_write_is_told_while_it_cannot_and_stands_in_the_ledger_after(
    on_disk: Ledger, disk: Path, tmp_path: Path, gateway: Gateway
) -> None:
    box = Box(on_disk, notebook=tmp_path / "courier.notebook", pages=(PAGE,))
    policy = all_at_once(webhook(gateway), nobody_after_s=1e9)
    made = box.courier(replace(policy, escalation=replace(policy.escalation, technical=("pager",))))
    # Something must be written before anybody knows that it cannot be.
    scene_of(on_disk, tmp_path / "store").critical("PHANTOM^ONE", 1)
    fill(disk)
    for _ in range(4):
        box.settle(made, after_s=1.1)
    assert [one.document["code"] for one in gateway.received] == [None, "ledger-not-writable"]
    assert made.facts(box.at)["ledger"] == "ledger-not-writable"
    empty(disk)
    for _ in range(3):
        box.settle(made, after_s=1.1)
    box.settle(made, after_s=LEDGER_QUIET_S)
    with on_disk.reading() as r:
        technical = [one for one in events_after(r, 0, 100) if existing_alert(r, one.alert_id).level is Level.TECHNICAL]
        assert {existing_alert(r, one.alert_id).key.first for one in technical} == {"ledger-not-writable"}
    assert [one.happening for one in technical] == [Happening.RAISED, Happening.DELIVERED, Happening.MENDED]
    assert (made.facts(box.at), len(gateway.received)) == ({}, 2)
    assert check(on_disk) == []
    made.close()


def test_what_triage_could_not_record_is_told_and_when_it_is_recorded_not_told_again(
    ledger: Ledger, tmp_path: Path, gateway: Gateway
) -> None:
    scene = scene_of(ledger, tmp_path / "store")
    study = scene.study("HOSTILE^NAME", number=1)
    box = Box(ledger, pages=(PAGE,))
    made = box.courier(
        ladder((0.0, webhook(gateway, "pager")), (60.0, webhook(gateway, "lead")), grace_s=1e9, nobody_after_s=1e9)
    )
    at_ns = box.at.wall_ns
    box.unrecorded = (
        Unrecorded(
            study_id=study.study_id, happening="RAISED", level="CRITICAL", finality="PROVISIONAL", at_ns=at_ns,
            label="edh", side="left", key_number=14,
        ),
    )  # fmt: skip
    box.settle(made)
    box.settle(made, after_s=5.0)
    (message,) = gateway.received
    assert (message.document["level"], message.document["recorded"]) == ("CRITICAL", False)
    assert message.document["finding"] == {"label": "edh", "side": "left", "key_slice": 14}
    assert message.document["study"] == study_hash(study.facts.study_uid)
    assert b"HOSTILE" not in message.payload
    alert = raised(ledger, study, at_ns)
    box.unrecorded = ()
    box.settle(made, after_s=0.3)
    assert len(gateway.received) == 1, "its own row is seen before the notebook is given back"
    box.settle(made, after_s=1.1)
    (told,) = messages(ledger, alert.id)
    assert (told.state, told.idempotency_key) == ("DONE", message.key)
    box.settle(made, after_s=56.0)
    assert [one.document["alert"] for one in gateway.received][1:] == [alert.id]
    assert steps_taken(ledger, alert.id) == [("Lead", "time")]
    assert check(ledger) == []
    made.close()


def raised(ledger: Ledger, study: Scanned, at_ns: int) -> AlertRow:
    """Triage has written its alert at last."""
    with ledger.writing() as w:
        return raise_alert(
            w, study.key, Level.CRITICAL, study_id=study.study_id, series_id=None, reading_id=None, at_ns=at_ns, details={},
            by="triage", finality=Finality.PROVISIONAL,
        )  # fmt: skip


def test_where_no_notebook_can_be_made_the_courier_says_so_and_tells_when_the_ledger_is_back(
    ledger: Ledger, tmp_path: Path, gateway: Gateway
) -> None:
    alert = scene_of(ledger, tmp_path / "store").critical("PHANTOM^ONE", 1)
    box = Box(ledger, notebook=tmp_path / "gone" / "courier.notebook")
    made = box.courier(all_at_once(webhook(gateway), nobody_after_s=1e9))
    with held_by_another(ledger.path):
        box.settle(made, after_s=1.1)
        assert (made.faults, made.rest_s, gateway.received) == ((LEDGER_FAULT,), REST_AFTER_FAULT_S, [])
    box.settle(made, after_s=1.1)
    assert made.faults == () and len(answers(ledger, alert.id)) == 1
    made.close()


def test_the_notebook_is_private_and_names_no_patient(ledger: Ledger, tmp_path: Path, gateway: Gateway) -> None:
    alert = scene_of(ledger, tmp_path / "store").critical("HOSTILE^NAME", 1)
    box = Box(ledger)
    made = box.courier(all_at_once(webhook(gateway), nobody_after_s=1e9))
    with held_by_another(ledger.path):
        box.settle(made)
        assert len(gateway.received) == 1
        kept = {one.name: one for one in box.notebook.parent.glob("courier.notebook*")}
        written = b"".join(one.read_bytes() for one in kept.values())
    assert {stat.S_IMODE(one.stat().st_mode) for one in kept.values()} == {0o600}
    for secret in ("HOSTILE", alert.key.first, alert.key.second):
        assert secret.encode() not in written
    box.settle(made, after_s=1.1)
    made.close()
