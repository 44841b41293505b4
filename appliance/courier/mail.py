"""The channel that writes letters: SMTP (RFC 5321), with the certificate checked against what the system trusts."""

import contextlib
import smtplib
import socket
import ssl
from collections.abc import Callable
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from typing import Final

from appliance.core.delivery import Answer
from appliance.core.times import NS_PER_S
from appliance.courier.channel import Message
from appliance.courier.policy import EmailPolicy, Security

KEY_HEADER: Final = "X-Bleedwatch-Key"


class Mail:
    """The mail server. Several threads may send at once: each letter has a connection of its own.

    A server takes the same letter twice and readers see both, so a letter that may have been taken is not repeated within
    a minute.
    """

    ready = True
    drops_by_key = False

    def __init__(self, policy: EmailPolicy, wall_ns: Callable[[], int]) -> None:
        self.name = policy.name
        self._policy = policy
        self._wall_ns = wall_ns
        self._tls = ssl.create_default_context()

    def send(self, message: Message) -> Answer:
        """One attempt. Raises nothing that a network or a server can cause. Each step has the timeout of the policy."""
        try:
            smtp = self._connect()
        except smtplib.SMTPResponseException as error:
            return smtp_answer(error.smtp_code)
        except smtplib.SMTPNotSupportedError as error:
            return Answer(taken=False, error=type(error).__name__, lasting=True)
        except (smtplib.SMTPException, OSError) as error:
            # The type alone: messages quote hosts, names and addresses.
            return Answer(taken=False, error=type(error).__name__)
        try:
            return self._hand_over(smtp, letter_bytes(self._policy, message, self._wall_ns()))
        finally:
            with contextlib.suppress(smtplib.SMTPException, OSError):
                smtp.quit()
            smtp.close()

    def close(self) -> None:
        """Nothing stays open between letters."""

    def _connect(self) -> smtplib.SMTP:
        said = self._policy
        # Its own name without asking a name server, which may hang.
        here = socket.gethostname()
        if said.security is Security.TLS:
            smtp: smtplib.SMTP = smtplib.SMTP_SSL(
                said.host, said.port, local_hostname=here, timeout=said.timeout_s, context=self._tls
            )
        else:
            smtp = smtplib.SMTP(said.host, said.port, local_hostname=here, timeout=said.timeout_s)
        try:
            if said.security is Security.STARTTLS:
                smtp.starttls(context=self._tls)
            smtp.ehlo_or_helo_if_needed()
            if said.user:
                smtp.login(said.user, said.password)
        except BaseException:
            smtp.close()
            raise
        return smtp

    def _hand_over(self, smtp: smtplib.SMTP, letter: bytes) -> Answer:
        handed = False
        try:
            code, _ = smtp.mail(self._policy.sender)
            if code != 250:
                return smtp_answer(code)
            answers = [smtp.rcpt(one)[0] for one in self._policy.to]
            refused = [code for code in answers if code not in (250, 251)]
            if len(refused) == len(answers):
                return smtp_answer(min(refused))
            handed = True
            code, _ = smtp.data(letter)
        except smtplib.SMTPResponseException as error:
            return smtp_answer(error.smtp_code)
        except (smtplib.SMTPException, OSError) as error:
            return Answer(taken=False, error=type(error).__name__, unsure=handed)
        answer = smtp_answer(code)
        if answer.taken and refused:
            return Answer(taken=True, status=code, error=f"{len(refused)} of {len(answers)} addresses refused")
        return answer


def smtp_answer(code: int) -> Answer:
    """What a reply says: 2xx is taken, 4xx may get better, 5xx will not by itself (RFC 5321, 4.2.1)."""
    if 200 <= code < 300:
        return Answer(taken=True, status=code)
    known = code if 300 <= code < 600 else None
    return Answer(taken=False, status=known, error=f"SMTP {code}", lasting=500 <= code < 600)


def letter_bytes(policy: EmailPolicy, message: Message, now_ns: int) -> bytes:
    """The letter as it is sent. Its Message-ID is made of the idempotency key: many readers show such a letter once."""
    mail = EmailMessage(policy=SMTP)
    mail["From"] = policy.sender
    mail["To"] = ", ".join(policy.to)
    mail["Subject"] = " ".join(message.letter.subject.split())
    mail["Date"] = datetime.fromtimestamp(now_ns / NS_PER_S, tz=UTC)
    mail["Message-ID"] = f"<{message.idempotency_key}@{policy.sender.rpartition('@')[2]}>"
    mail["Auto-Submitted"] = "auto-generated"
    mail["Importance"] = "high"
    mail["X-Priority"] = "1"
    mail[KEY_HEADER] = message.idempotency_key
    mail.set_content(message.letter.text, cte="quoted-printable")
    return mail.as_bytes()
