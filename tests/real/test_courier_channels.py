"""Letters through a real mail server on loopback, and programs that are really started."""

import json
import ssl
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.core.alerts import Happening
from appliance.core.ledger import AlertKey
from appliance.core.words import Level
from appliance.courier.policy import CommandPolicy, EmailPolicy, Security
from appliance.records.alerts import raise_alert
from appliance.records.check import check
from appliance.records.ledger import Ledger
from tests.real.couriers import (
    PAGE,
    Box,
    all_at_once,
    answers,
    courier,
    ladder,
    messages,
    started,
    tick_until,
    wait_until,
    webhook,
)
from tests.real.gateways import open_gateway
from tests.real.mail_server import MailServer, made_certificate, open_mail_server
from tests.real.scenes import Scene

NAME = "HOSTILE^<b>NAME</b>"
SECRETS = ("HOSTILE", "FAKE-0001", "2.25.900001", "1951-01-01", "ACC-FAKE")


@pytest.fixture
def server() -> Iterator[MailServer]:
    with open_mail_server() as opened:
        yield opened


def mail(server: MailServer, **more: object) -> EmailPolicy:
    values: dict[str, object] = {
        "name": "mail",
        "host": "127.0.0.1",
        "port": server.port,
        "sender": "box@hospital.example",
        "to": ("stroke@hospital.example", "ward@hospital.example"),
        "security": Security.NONE,
        "timeout_s": 5.0,
        **more,
    }
    return EmailPolicy(**values)  # type: ignore[arg-type]


def test_a_letter_names_no_patient_and_says_the_next_step(scene: Scene, ledger: Ledger, server: MailServer) -> None:
    alert = scene.critical(NAME, 1)
    with courier(ledger, all_at_once(mail(server), scanner="CT 2\r\nBcc: thief@evil.example")) as made:
        tick_until(made, lambda: bool(answers(ledger, alert.id, "mail")))
    [letter] = server.letters
    assert (letter.sender, letter.to) == ("box@hospital.example", ("stroke@hospital.example", "ward@hospital.example"))
    said = letter.parsed
    assert said["Subject"] == "CRITICAL: suspected bleed, CT 2 Bcc: thief@evil.example"
    assert "Bcc" not in said
    assert "Suspected bleed inside the brain (IPH), patient’s left. Provisional" in letter.text
    assert "press Acknowledge on the board" in letter.text
    (row,) = messages(ledger, alert.id)
    assert said["Message-ID"] == f"<{row.idempotency_key}@hospital.example>"
    for secret in SECRETS:
        assert secret.encode() not in letter.payload
        assert secret not in letter.text
    assert (row.state, row.last_status) == ("DONE", 250)
    assert check(ledger) == []


def test_a_test_alarm_is_marked_in_the_first_word(ledger: Ledger, server: MailServer) -> None:
    with ledger.writing() as w:
        test = raise_alert(
            w, AlertKey(kind="test", first="box", second="1"), Level.TEST, study_id=None, series_id=None,
            reading_id=None, at_ns=time.time_ns(), details={}, by="R. Example",
        )  # fmt: skip
    with courier(ledger, all_at_once(mail(server))) as made:
        tick_until(made, lambda: bool(answers(ledger, test.id, "mail")))
    [letter] = server.letters
    assert letter.parsed["Subject"].startswith("[TEST] ")
    assert letter.text.startswith("TEST. Practice alert. This is not a patient.")


@pytest.mark.parametrize("security", [Security.STARTTLS, Security.TLS])
@pytest.mark.parametrize("trusted", [True, False])
def test_the_way_is_encrypted_and_the_certificate_checked(
    scene: Scene, ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, security: Security, trusted: bool
) -> None:
    certificate, key = made_certificate(tmp_path)
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    alert = scene.critical(NAME, 1)
    with open_mail_server(tls=tls, tls_at_once=security is Security.TLS) as server:
        server.users = {"box": "hush"}
        policy = mail(server, security=security, user="box", password=server.users["box"])
        with courier(ledger, all_at_once(policy)) as made:
            tick_until(made, lambda: bool(answers(ledger, alert.id, "mail")))
        (event,) = answers(ledger, alert.id, "mail")
        if trusted:
            assert event.happening is Happening.DELIVERED, event.details
            [letter] = server.letters
            assert (letter.encrypted, letter.login) == (True, "box")
        else:
            assert server.letters == []
            assert event.details["error"] == "SSLCertVerificationError"


def test_a_server_without_starttls_gets_neither_letter_nor_password(
    scene: Scene, ledger: Ledger, server: MailServer
) -> None:
    alert = scene.critical(NAME, 1)
    policy = mail(server, security=Security.STARTTLS, user="box", password="hush")
    with courier(ledger, all_at_once(policy)) as made:
        tick_until(made, lambda: bool(answers(ledger, alert.id, "mail")))
    (event,) = answers(ledger, alert.id, "mail")
    assert (event.happening, event.details["error"]) == (Happening.FAILED, "SMTPNotSupportedError")
    assert server.letters == []


@pytest.mark.parametrize(
    ("command", "reply", "error", "again_s"),
    [
        ("MAIL", "451 later", "SMTP 451", 2.0),
        ("RCPT", "450 busy", "SMTP 450", 2.0),
        ("DATA", "421 later", "SMTP 421", 2.0),
        ("LETTER", "452 full", "SMTP 452", 2.0),
        ("EHLO", "", "SMTPServerDisconnected", 2.0),
        ("MAIL", "550 no", "SMTP 550", 60.0),
        ("RCPT", "550 nobody", "SMTP 550", 60.0),
        ("LETTER", "554 spam", "SMTP 554", 60.0),
    ],
)
def test_a_refused_letter_is_sent_again_soon_or_each_minute(
    scene: Scene, ledger: Ledger, server: MailServer, command: str, reply: str, error: str, again_s: float
) -> None:
    said = [reply, reply]  # twice: once for each address
    server.reply = lambda heard: said.pop() if heard.startswith(command) and said else None
    if command != "RCPT":
        said.pop()
    box = Box(ledger, pages=(PAGE,))
    made = box.courier(all_at_once(mail(server)))
    alert = scene.critical(NAME, 1)
    box.settle(made)
    (event,) = answers(ledger, alert.id, "mail")
    assert (event.happening, event.details["error"]) == (Happening.FAILED, error)
    before = len(server.letters)
    box.after(made, again_s - 1.9)
    box.settle(made)
    assert len(server.letters) == before
    box.after(made, 2)
    box.settle(made)
    assert len(server.letters) == before + 1
    assert answers(ledger, alert.id, "mail")[-1].happening is Happening.DELIVERED
    made.close()


def test_a_letter_that_one_of_two_addresses_refuses_is_told_and_says_so(
    scene: Scene, ledger: Ledger, server: MailServer
) -> None:
    server.reply = lambda heard: "550 nobody" if heard.startswith("RCPT") and "ward@" in heard else None
    alert = scene.critical(NAME, 1)
    with courier(ledger, all_at_once(mail(server))) as made:
        tick_until(made, lambda: bool(answers(ledger, alert.id, "mail")))
    (event,) = answers(ledger, alert.id, "mail")
    assert (event.happening, event.details["partly"]) == (Happening.DELIVERED, "1 of 2 addresses refused")
    assert len(server.letters) == 1


def test_a_letter_whose_reply_got_lost_is_not_written_again_within_a_minute(
    scene: Scene, ledger: Ledger, server: MailServer
) -> None:
    server.stall_s = 1.5
    box = Box(ledger, pages=(PAGE,))
    made = box.courier(all_at_once(mail(server, timeout_s=0.5)))
    alert = scene.critical(NAME, 1)
    box.settle(made)
    assert len(server.letters) == 1, "it was taken, and the answer came too late"
    (event,) = answers(ledger, alert.id, "mail")
    assert event.happening is Happening.FAILED
    server.stall_s = 0.0
    for _ in range(5):
        box.after(made, 11)
        box.settle(made)
    assert len(server.letters) == 1
    box.after(made, 10)
    box.settle(made)
    assert len(server.letters) == 2
    assert len({letter.parsed["Message-ID"] for letter in server.letters}) == 1
    made.close()


def test_a_courier_that_starts_again_and_again_writes_the_same_letter_once_a_minute(
    scene: Scene, ledger: Ledger, server: MailServer
) -> None:
    """A gateway drops by its key what comes twice; readers of mail do not."""
    alert = scene.critical(NAME, 1)
    box = Box(ledger, pages=(PAGE,))
    with open_gateway() as gateway:
        policy = all_at_once(mail(server), webhook(gateway))
        for _ in range(10):  # each dies one second later
            made = box.courier(policy)
            box.settle(made)
            box.after(made, 1)
            made.close()
        assert len(server.letters) == 1
        assert len(gateway.received) == 10
        assert len({one.key for one in gateway.received}) == 1
        box.at = box.at.plus(60)
        made = box.courier(policy)
        box.settle(made)
        made.close()
    assert len(server.letters) == 2
    assert len({letter.payload.partition(b"Message-ID")[2] for letter in server.letters}) == 1
    assert [len(answers(ledger, alert.id, name)) for name in ("mail", "pager")] == [1, 1]


def test_a_letter_that_was_begun_before_a_death_waits_for_its_minute(
    scene: Scene, ledger: Ledger, server: MailServer
) -> None:
    server.stall_s = 0.6
    alert = scene.critical(NAME, 1)
    box = Box(ledger, pages=(PAGE,))
    dies = box.courier(all_at_once(mail(server)))
    dies.tick(box.at)
    wait_until(lambda: len(server.letters) == 1)
    # What it would record is never recorded: it is dead.
    server.stall_s = 0.0
    for _ in range(5):
        box.at = box.at.plus(1)
        next_one = box.courier(all_at_once(mail(server)))
        box.settle(next_one)
        next_one.close()
    assert len(server.letters) == 1
    box.at = box.at.plus(60)
    last = box.courier(all_at_once(mail(server)))
    box.settle(last)
    assert len(server.letters) == 2
    assert [one.happening for one in answers(ledger, alert.id, "mail")] == [Happening.DELIVERED]
    last.close()


# -- commands ------------------------------------------------------------------------------------------------


def program(folder: Path, text: str) -> CommandPolicy:
    path = folder / "siren"
    path.write_text(f"#!/bin/bash\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return CommandPolicy(name="siren", argv=(str(path), "--loud", "a b; touch pwned"), timeout_s=5.0)


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_program_gets_the_message_and_its_key_and_no_shell(scene: Scene, ledger: Ledger, tmp_path: Path) -> None:
    policy = program(
        tmp_path,
        f'cat > {tmp_path}/in; echo "$BLEEDWATCH_IDEMPOTENCY_KEY" > {tmp_path}/key; echo "$2" > {tmp_path}/word',
    )
    alert = scene.critical(NAME, 1)
    with courier(ledger, all_at_once(policy)) as made:
        tick_until(made, lambda: bool(answers(ledger, alert.id, "siren")))
    (event,) = answers(ledger, alert.id, "siren")
    assert event.happening is Happening.DELIVERED
    document = json.loads((tmp_path / "in").read_bytes())
    assert (document["alert"], document["level"]) == (alert.id, "CRITICAL")
    (row,) = messages(ledger, alert.id)
    assert (tmp_path / "key").read_text().strip() == row.idempotency_key
    assert (tmp_path / "word").read_text().strip() == "a b; touch pwned"
    for secret in SECRETS:
        assert secret not in (tmp_path / "in").read_text()


def test_a_program_that_hangs_is_ended_with_all_its_children_and_started_again_in_a_minute(
    scene: Scene, ledger: Ledger, tmp_path: Path
) -> None:
    policy = program(tmp_path, f"sleep 300 & echo $! > {tmp_path}/child; echo $$ > {tmp_path}/self; sleep 300")
    policy = CommandPolicy(name="siren", argv=policy.argv, timeout_s=1.0)
    with open_gateway() as gateway:
        box = Box(ledger, pages=(PAGE,))
        made = box.courier(ladder((0.0, policy), (30.0, webhook(gateway))))
        alert = scene.critical(NAME, 1)
        began_s = time.monotonic()
        box.settle(made)
        assert time.monotonic() - began_s < 4
        (event,) = answers(ledger, alert.id, "siren")
        assert (event.happening, event.details["error"]) == (Happening.FAILED, "Deadline")
        pids = [int((tmp_path / name).read_text()) for name in ("self", "child")]
        wait_until(lambda: not any(is_running(pid) for pid in pids))
        (row,) = [one for one in messages(ledger, alert.id) if one.channel == "siren"]
        assert row.due_ns - box.at.wall_ns == 60 * 10**9, "it may have told somebody before it hung"
        made.close()


@pytest.mark.parametrize(
    ("text", "error"), [("exit 3", "exit code 3"), ("kill -9 $$", "signal 9"), ("exit 127", "exit code 127")]
)
def test_a_program_that_fails_is_started_again(
    scene: Scene, ledger: Ledger, tmp_path: Path, text: str, error: str
) -> None:
    policy = program(tmp_path, f"if [ -e {tmp_path}/mended ]; then exit 0; fi; {text}")
    box = Box(ledger, pages=(PAGE,))
    made = box.courier(all_at_once(policy))
    alert = scene.critical(NAME, 1)
    box.settle(made)
    (event,) = answers(ledger, alert.id, "siren")
    assert (event.happening, event.details["error"]) == (Happening.FAILED, error)
    (tmp_path / "mended").touch()
    box.after(made, 61)
    box.settle(made)
    assert answers(ledger, alert.id, "siren")[-1].happening is Happening.DELIVERED
    made.close()


def test_a_program_that_is_not_there_is_no_channel(scene: Scene, ledger: Ledger, tmp_path: Path) -> None:
    box = Box(ledger, pages=(PAGE,))
    made = box.courier(all_at_once(CommandPolicy(name="siren", argv=(str(tmp_path / "nothing"),))))
    alert = scene.critical(NAME, 1)
    box.settle(made)
    assert box.after(made, 1) == {"dead-letters"}
    (event,) = answers(ledger, alert.id, "siren")
    assert event.details["error"] == "NotExecutable"
    made.close()


def test_what_a_program_leaves_behind_ends_with_it_and_what_it_prints_is_not_kept(
    scene: Scene, ledger: Ledger, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    policy = program(tmp_path, f"echo {NAME!r}; echo {NAME!r} >&2; sleep 300 & echo $! > {tmp_path}/child; exit 0")
    alert = scene.critical(NAME, 1)
    with courier(ledger, all_at_once(policy)) as made:
        tick_until(made, lambda: bool(answers(ledger, alert.id, "siren")))
    wait_until(lambda: not is_running(int((tmp_path / "child").read_text())))
    printed = capfd.readouterr()
    assert "HOSTILE" not in printed.out + printed.err


def test_a_courier_that_ends_ends_its_programs(scene: Scene, ledger: Ledger, tmp_path: Path) -> None:
    policy = program(tmp_path, f"echo $$ > {tmp_path}/self; sleep 300")
    made = started(all_at_once(policy), ledger)
    scene.critical(NAME, 1)
    tick_until(made, lambda: (tmp_path / "self").exists() and bool((tmp_path / "self").read_text()))
    pid = int((tmp_path / "self").read_text())
    assert is_running(pid)
    made.close()
    wait_until(lambda: not is_running(pid))
