"""What a message says, how it is signed, and what an answer means: pure functions, no network."""

import hashlib
import hmac
import json
import time
from dataclasses import replace
from email import message_from_bytes
from email.policy import default
from threading import Event, Thread

import pytest

from appliance.core.alerts import AlertState, Happening
from appliance.core.delivery import Answer
from appliance.core.ledger import AlertEventRow, AlertKey, AlertRow, DeliveryRow, StudyRow
from appliance.core.times import Now
from appliance.core.words import Finality, Level, StudyState
from appliance.courier.channel import Message
from appliance.courier.command import exit_answer
from appliance.courier.letter import FOOTER, Letter, letter
from appliance.courier.mail import letter_bytes, smtp_answer
from appliance.courier.message import Told, body
from appliance.courier.policy import CommandPolicy, CourierPolicy, EmailPolicy, WebhookPolicy
from appliance.courier.sending import AT_ONCE, OVERDUE_S, PATIENT_AT_ONCE, THREADS_MOST, Senders
from appliance.courier.webhook import _retry_after_s, headers, http_answer, signature
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
    ring=EVENT,
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
        "recorded": True,
        "alert": 4,
        "event": 17,
        "happening": "RAISED",
        "level": "CRITICAL",
        "finality": "PROVISIONAL",
        "revision": 1,
        "study": hashlib.sha256(b"2.25.1").hexdigest()[:16],
        "finding": {"label": "sdh", "side": "patient’s left", "key_slice": 17},
        "code": None,
        "step": None,
        "raised_ns": 99,
        "link": "/",
    }
    patient = STUDY.patient
    for secret in (patient.name, patient.patient_id, patient.birth_date, STUDY.study_uid, STUDY.accession):
        assert json.dumps(secret).strip('"').encode() not in said


def test_what_the_box_cannot_record_says_so_and_still_what_was_found() -> None:
    ring = replace(EVENT, reading_id=None, details={"label": "edh", "side": "patient’s left", "key_slice": "9"})
    told = replace(TOLD, ring=ring, event=ring, reading=None, recorded=False)
    document = json.loads(body(told))
    assert (document["recorded"], document["revision"]) == (False, None)
    assert document["finding"] == {"label": "edh", "side": "patient’s left", "key_slice": 9}
    said = letter(told, "CT 2", clock_text)
    assert "(EDH), patient’s left" in said.text and "cannot write its records" in said.text
    assert "press Acknowledge" not in said.text and "Alert 4" not in said.text
    without = replace(told, ring=replace(ring, details={"label": "", "side": "", "key_slice": "0"}))
    assert json.loads(body(without))["finding"] is None


def test_what_has_changed_since_does_not_change_the_message() -> None:
    later = replace(ALERT, level=Level.REVIEW, finality=Finality.FINAL, doubted=True, reading_id=9, last_event_id=30)
    assert body(replace(TOLD, alert=later)) == body(TOLD)


def test_a_test_alert_says_so_and_has_no_study() -> None:
    event = replace(EVENT, level=Level.TEST, reading_id=None)
    document = json.loads(body(replace(TOLD, ring=event, event=event, study=None, reading=None)))
    assert (document["test"], document["study"], document["finding"], document["revision"]) == (True, None, None, None)


def test_the_signature_covers_time_and_body() -> None:
    signed = headers(b"secret", "key", "1700000000", b"{}")
    expected = hmac.new(b"secret", b"1700000000.{}", hashlib.sha256).hexdigest()
    assert signed["X-Bleedwatch-Signature"] == f"sha256={expected}"
    assert signed["Idempotency-Key"] == "key"
    assert len({signature(b"secret", *what) for what in (("1", b"{}"), ("2", b"{}"), ("1", b"{ }"))}) == 3


STEP = replace(
    EVENT, id=30, happening=Happening.ESCALATED, at_ns=199, by="courier", level=None, finality=None, sounds=False,
    details={"step": "2", "name": "Stroke team", "round": "1", "channels": "phone", "why": "no-screen"},
)  # fmt: skip


def test_a_step_says_which_and_why_and_stands_on_what_rang() -> None:
    later = replace(ALERT, finality=Finality.FINAL, doubted=True, reading_id=9)
    said = json.loads(body(replace(TOLD, event=STEP, alert=later)))
    assert said["step"] == {"number": 2, "round": 1, "name": "Stroke team", "why": "no-screen"}
    assert (said["event"], said["happening"], said["level"]) == (30, "ESCALATED", "CRITICAL")
    assert (said["finality"], said["revision"], said["raised_ns"]) == ("PROVISIONAL", 1, 99)


def clock_text(at_ns: int) -> str:
    return f"14:32:{at_ns // 10:02}"


def test_the_letter_says_what_happened_and_the_next_step_and_not_in_whom() -> None:
    said = letter(TOLD, "CT 2", clock_text)
    assert said.subject == "CRITICAL: suspected bleed, CT 2"
    assert "Suspected bleed under the dura (SDH), patient’s left. Provisional: the scan was still running." in said.text
    assert "Next step: look at the scan now, and press Acknowledge on the board." in said.text
    assert "Alert 4, since 14:32:09" in said.text
    assert FOOTER in said.text
    patient = STUDY.patient
    for secret in (patient.name, patient.patient_id, patient.birth_date, STUDY.study_uid, STUDY.accession):
        assert secret not in said.subject + said.text
    later = replace(ALERT, level=Level.REVIEW, finality=Finality.FINAL, doubted=True, reading_id=9, last_event_id=30)
    assert letter(replace(TOLD, alert=later), "CT 2", clock_text) == said


def test_the_letter_of_a_step_says_who_and_why() -> None:
    said = letter(replace(TOLD, event=STEP), "CT 2", clock_text)
    assert "Step 2: Stroke team, 14:32:19: no screen answered." in said.text
    again = replace(STEP, details={**STEP.details, "name": "Everybody", "round": "4", "why": "time"})
    assert "told for the 4. time: nobody has answered" in letter(replace(TOLD, event=again), "CT", clock_text).text


def test_the_letter_of_a_test_says_so_first() -> None:
    ring = replace(EVENT, level=Level.TEST, reading_id=None)
    said = letter(replace(TOLD, ring=ring, event=ring, study=None, reading=None), "CT 2", clock_text)
    assert said.subject.startswith("[TEST] ")
    assert said.text.startswith("TEST. Practice alert. This is not a patient.")
    assert "CRITICAL" not in said.subject + said.text


def test_a_fault_of_the_box_is_told_in_the_words_of_its_band() -> None:
    ring = replace(EVENT, level=Level.TECHNICAL, reading_id=None, details={"percent": "4"})
    alert = replace(ALERT, level=Level.TECHNICAL, key=AlertKey(kind="technical", first="disk-low", second="box"))
    told = replace(TOLD, ring=ring, event=ring, alert=alert, study=None, reading=None)
    said = letter(told, "CT 2", clock_text)
    assert said.subject == "TECHNICAL: a fault of the box, CT 2"
    assert said.text.startswith("4 % of the store is free.")
    assert "Next step: Tell the administrator." in said.text
    document = json.loads(body(told))
    assert (document["code"], document["level"], document["study"]) == ("disk-low", "TECHNICAL", None)
    blind = replace(alert, key=AlertKey(kind="technical", first="triage-silent", second="box"))
    assert letter(replace(told, alert=blind), "CT 2", clock_text).subject.startswith("BLIND: ")


def test_a_letter_cannot_be_given_more_headers_and_its_id_is_made_of_the_key() -> None:
    policy = EmailPolicy(name="mail", host="mx", port=25, sender="box@hospital.example", to=("a@b.example",))
    message = Message(
        idempotency_key="alert-4-event-17-99-mail",
        payload=b"{}",
        letter=Letter(subject="CRITICAL, CT\r\nBcc: thief@evil.example", text="Text – with a dash.\n"),
    )
    parsed = message_from_bytes(letter_bytes(policy, message, 1_700_000_000 * 10**9), policy=default)
    assert "Bcc" not in parsed
    assert parsed["Message-ID"] == "<alert-4-event-17-99-mail@hospital.example>"
    assert parsed["Subject"] == "CRITICAL, CT Bcc: thief@evil.example"
    assert parsed["Auto-Submitted"] == "auto-generated"
    assert parsed.get_content().strip() == "Text – with a dash."


def test_neither_secret_nor_address_is_shown() -> None:
    policy = CourierPolicy(
        channels=(
            WebhookPolicy(name="pager", url="https://u:pass@gateway.example/?token=abc", secret=b"hush"),
            EmailPolicy(name="mail", host="mx", port=25, sender="a@b.example", to=("who@c.example",), password="hush"),
            CommandPolicy(name="siren", argv=("/bin/siren", "--token", "abc")),
        )
    )
    for secret in ("hush", "pass@", "abc", "who@"):
        assert secret not in repr(policy)


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_a_gateway_takes_with_2xx(status: int) -> None:
    assert http_answer(status).taken


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 599])
def test_a_gateway_may_get_better(status: int) -> None:
    answer = http_answer(status, 7.0)
    assert (answer.taken, answer.lasting, answer.status, answer.retry_after_s) == (False, False, status, 7.0)


@pytest.mark.parametrize("status", [301, 302, 400, 401, 403, 404, 405, 409, 410, 413, 422])
def test_a_refusal_of_a_gateway_lasts(status: int) -> None:
    answer = http_answer(status)
    assert (answer.taken, answer.lasting, answer.error) == (False, True, f"HTTP {status}")


@pytest.mark.parametrize(
    ("code", "taken", "lasting"),
    [
        (250, True, False),
        (421, False, False),
        (450, False, False),
        (535, False, True),
        (554, False, True),
        (-1, False, False),
    ],
)
def test_replies_of_a_mail_server(code: int, taken: bool, lasting: bool) -> None:
    answer = smtp_answer(code)
    assert (answer.taken, answer.lasting, bool(answer.error)) == (taken, lasting, not taken)


@pytest.mark.parametrize(
    ("code", "taken", "lasting"),
    [(0, True, False), (1, False, False), (75, False, False), (127, False, True), (-9, False, False)],
)
def test_exit_codes_of_a_command(code: int, taken: bool, lasting: bool) -> None:
    answer = exit_answer(code)
    assert (answer.taken, answer.lasting) == (taken, lasting)


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


MESSAGE = Message(idempotency_key="k", payload=b"", letter=Letter(subject="", text=""))


def nobody(_message: Message) -> Answer:
    raise AssertionError


def start(senders: Senders, one: DeliveryRow, now: Now, *, urgent: bool = True) -> None:
    senders.start(one, lambda: MESSAGE, now, urgent=urgent)


def test_first_words_go_before_others_and_have_room_whatever_hangs() -> None:
    release = Event()

    def hangs(_message: Message) -> Answer:
        release.wait(60)
        return Answer(taken=True)

    senders, began = Senders("pager", hangs), Now(100.0, 0)
    old, new = [row(n, 3) for n in range(1, 19)], [row(n, 0) for n in range(101, 119)]
    assert senders.choose(new, old) == new[:AT_ONCE]
    assert senders.choose(new[:1], old) == [new[0], *old[:PATIENT_AT_ONCE]]
    for one in senders.choose([], old):
        start(senders, one, began, urgent=False)
    assert senders.choose([], old[PATIENT_AT_ONCE:]) == []
    assert senders.choose(new, old) == new[: AT_ONCE - PATIENT_AT_ONCE]
    release.set()


def test_a_system_without_a_thread_to_give_fails_one_message_and_not_the_courier(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def no_more(_thread: Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(Thread, "start", no_more)
    senders, began = Senders("pager", nobody), Now(100.0, 0)
    start(senders, DELIVERY, began)
    [(_, answer)] = senders.answered(began)
    assert (answer.taken, answer.error) == (False, "NoThread")


def test_a_fault_that_this_version_does_not_know_is_told_all_the_same() -> None:
    alert = replace(ALERT, key=AlertKey(kind="technical", first="of-a-newer-version", second="box"))
    ring = replace(EVENT, level=Level.TECHNICAL)
    told = replace(TOLD, alert=alert, ring=ring, event=ring, study=None, reading=None)
    said = letter(told, "CT 2", str)
    assert said.subject == "TECHNICAL: a fault of the box, CT 2"
    assert "no words for: of-a-newer-version." in said.text and "Call the administrator." in said.text
    assert json.loads(body(told))["code"] == "of-a-newer-version"


def test_a_message_that_breaks_its_thread_has_failed() -> None:
    def broken(_message: Message) -> Answer:
        raise KeyError("a defect of ours")

    senders = Senders("pager", broken)
    began = Now(100.0, 0)
    start(senders, DELIVERY, began)
    while not (answered := senders.answered(began)):
        time.sleep(0.001)
    [(sending, answer)] = answered
    assert (sending.delivery, answer.taken, answer.error) == (DELIVERY, False, "KeyError")
    senders.forget(DELIVERY.id)
    assert not senders.busy


def test_an_answer_that_never_ends_is_not_waited_for_and_its_threads_do_not_add_up() -> None:
    release = Event()

    def hangs(_message: Message) -> Answer:
        release.wait(60)
        return Answer(taken=True)

    senders = Senders("pager", hangs)
    began = Now(100.0, 0)
    for number in range(1, THREADS_MOST + 1):
        fresh = row(number, 0)
        assert senders.choose([fresh], []) == [fresh]
        start(senders, fresh, began)
        assert senders.answered(began.plus(OVERDUE_S)) == []
        [(_, answer)] = senders.answered(began.plus(OVERDUE_S + 1))
        assert (answer.taken, answer.unsure, answer.error) == (False, True, "Overdue")
        senders.forget(number)
    assert senders.choose([row(99, 0)], []) == []
    assert senders.taken_late() == []
    release.set()
    until_s = time.monotonic() + 5
    while not senders.choose([row(99, 0)], []):
        assert time.monotonic() < until_s
        time.sleep(0.01)
    while len(late := senders.taken_late()) < THREADS_MOST:
        assert time.monotonic() < until_s
    for sending in late:
        senders.forget_late(sending)
    assert senders.taken_late() == []
