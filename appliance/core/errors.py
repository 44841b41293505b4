"""The two families of errors. Each carries a reason code of `core.reasons`."""

from appliance.core.words import FileVerdict


class Refusal(Exception):
    """This file cannot be taken. Recorded with its reason, shown, and not retried while the file stays as it is.

    `reason` is a code of `core.reasons`; `details` fills the places of its sentence.
    """

    def __init__(self, verdict: FileVerdict, reason: str, **details: str) -> None:
        super().__init__(verdict, reason, details)
        self.verdict = verdict
        self.reason = reason
        self.details = details

    def __str__(self) -> str:
        return f"{self.verdict}: {self.reason}"


class Fault(Exception):
    """We failed. Retried, then told as a technical alert under `reason`, a code of `core.reasons`."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(reason, message)
        self.reason = reason
        self.message = message

    def __str__(self) -> str:
        return f"{self.reason}: {self.message}"


class CannotStart(Exception):
    """A program cannot start. The message says what is wrong and what to do; a restart will not cure it."""
