"""What a message says and how it is signed: pure functions, no network."""

import hashlib
import hmac
import json
import time
from dataclasses import replace
from threading import Event

import pytest

from appliance.core.alerts import AlertState, Happening
from appliance.core.ledger import AlertEventRow, AlertKey, AlertRow, DeliveryRow, StudyRow
from appliance.core.times import Now
from appliance.core.words import Finality, Level, StudyState
from appliance.courier.message import Told, body, headers, signature
from appliance.courier.policy import CourierPolicy, WebhookPolicy
from appliance.courier.sending import AT_ONCE, OVERDUE_S, RETRIES_AT_ONCE, Senders
from appliance.courier.webhook import _retry_after_s
from tests.real.invented import STUDY, reading

DELIVERY = DeliveryRow(
    id=1, alert_id=4, event_id=17, channel="webhook", idempotency_key="k", state="DUE", attempts=0,
    created_ns=0, due_ns=0, ended_ns=None, last_status=None, last_error="",
)  # fmt: skip
EVENT = AlertEventRow(
    id=17, alert_id=4, happening=Happening.RAISED, at_ns=99, by="triage", level=Level.CRITICAL,
    finality=Finality.PROVISIONAL, new_acquisition=False, sounds=True, judged=None, reading_id=3, details={},
)  # fmt: skip
ALERT = AlertRow(
    id=4, key=AlertKey(kind="clinical", first="FAKE-0001\\BOX", second="2.25.1", third="head_ct"),
    state=AlertState.SOUNDING, level=Level.CRITICAL, finality=Finality.PROVISIONAL, study_id=1, series_id=1,
    reading_id=3, details={"place": "under the dura"}, raised_ns=99, changed_ns=99, sounded_ns=99, open=True,
    sounds=True, withdrawn=False, doubted=False, acknowledged_by="", acknowledged_ns=None, judged=None,
    sounding_event_id=17, last_event_id=17,
)  # fmt: skip
TOLD = Told(
    delivery=DELIVERY,
    alert=ALERT,
    event=EVENT,
    study=StudyRow(
        id=1, facts=STUDY, state=StudyState.OPEN, outcome=None, reasons=(), opened_ns=1, last_landed_ns=1,
        closed_ns=None, set_aside=0,
    ),
    reading=reading(1, finality=Finality.PROVISIONAL),
)  # fmt: skip


def test_the_message_says_what_was_found_and_not_in_whom() -> None:
    said = body(TOLD)
    assert json.loads(said) == {
        "schema_version": 1,
        "kind": "alert",
        "test": False,
        "alert": 4,
        "event": 17,
        "happening": "RAISED",
        "level": "CRITICAL",
        "finality": "PROVISIONAL",
        "revision": 1,
        "study": hashlib.sha256(b"2.25.1").hexdigest()[:16],
        "finding": {"label": "sdh", "side": "patient’s left", "key_slice": 17},
        "raised_ns": 99,
        "link": "/",
    }
    patient = STUDY.patient
    for secret in (patient.name, patient.patient_id, patient.birth_date, STUDY.study_uid, STUDY.accession):
        assert json.dumps(secret).strip('"').encode() not in said


def test_what_has_changed_since_does_not_change_the_message() -> None:
    later = replace(ALERT, level=Level.REVIEW, finality=Finality.FINAL, doubted=True, reading_id=9, last_event_id=30)
    assert body(replace(TOLD, alert=later)) == body(TOLD)


def test_a_test_alert_says_so_and_has_no_study() -> None:
    event = replace(EVENT, level=Level.TEST, reading_id=None)
    document = json.loads(body(replace(TOLD, event=event, study=None, reading=None)))
    assert (document["test"], document["study"], document["finding"], document["revision"]) == (True, None, None, None)


def test_the_signature_covers_time_and_body() -> None:
    signed = headers(b"secret", "key", "1700000000", b"{}")
    expected = hmac.new(b"secret", b"1700000000.{}", hashlib.sha256).hexdigest()
    assert signed["X-Bleedwatch-Signature"] == f"sha256={expected}"
    assert signed["Idempotency-Key"] == "key"
    assert len({signature(b"secret", *what) for what in (("1", b"{}"), ("2", b"{}"), ("1", b"{ }"))}) == 3


def test_neither_secret_nor_address_is_shown() -> None:
    policy = CourierPolicy(webhook=WebhookPolicy(url="https://u:pass@gateway.example/?token=abc", secret=b"hush"))
    for secret in ("hush", "pass", "abc"):
        assert secret not in repr(policy)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("120", 120.0),
        (" 7 ", 7.0),
        ("-5", None),
        ("1e9", None),
        ("99999999999999999999", None),
        ("soon", None),
        ("Thu, 01 Jan 1970 00:02:00 GMT", 20.0),
        ("Thu, 01 Jan 1970 00:00:10 GMT", 0.0),
        ("Thu, 01 Jan 1970 00:00:10 +99999999999999999999", None),
    ],
)
def test_retry_after_in_both_forms_and_nonsense(value: str | None, seconds: float | None) -> None:
    assert _retry_after_s(value, 100 * 10**9) == seconds


def row(number: int, attempts: int) -> DeliveryRow:
    return replace(DELIVERY, id=number, attempts=attempts)


def test_first_attempts_go_before_others_and_never_only_others_are_under_way() -> None:
    hanging = Senders(lambda _key, _payload: (_ for _ in ()).throw(AssertionError))
    old, new = [row(n, 3) for n in range(1, 9)], [row(n, 0) for n in range(11, 19)]
    assert hanging.choose([*old, *new]) == new[:AT_ONCE]
    assert hanging.choose(old) == old[:RETRIES_AT_ONCE]
    assert hanging.choose([*old, new[0]]) == [new[0], *old[:RETRIES_AT_ONCE]]


def test_a_message_that_breaks_its_thread_or_hangs_too_long_has_failed() -> None:
    def broken(_key: str, _payload: bytes) -> None:
        raise KeyError("a defect of ours")

    senders = Senders(broken)  # type: ignore[arg-type]
    began = Now(100.0, 0)
    senders.start(DELIVERY, b"", began)
    while not (answered := senders.answered(began)):
        time.sleep(0.001)
    (_, (answer, error)) = answered[0]
    assert (answer.status, error) == (None, "KeyError")
    senders.forget(DELIVERY.id)
    assert not senders.busy


def test_an_answer_that_never_ends_is_not_waited_for() -> None:
    release = Event()
    senders = Senders(lambda _key, _payload: release.wait(60))  # type: ignore[arg-type, return-value]
    began = Now(100.0, 0)
    senders.start(DELIVERY, b"", began)
    assert senders.answered(began.plus(OVERDUE_S)) == []
    [(_, (answer, error))] = senders.answered(began.plus(OVERDUE_S + 1))
    assert (answer.status, error) == (None, "Overdue")
    release.set()
