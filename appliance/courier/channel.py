"""What every channel can do. Webhook, mail and command are the three that there are."""

from dataclasses import dataclass
from typing import Protocol

from appliance.core.delivery import Answer
from appliance.courier.letter import Letter


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message in both its forms. All of it is the same at every attempt."""

    idempotency_key: str
    payload: bytes  # JSON, UTF-8
    letter: Letter


class Channel(Protocol):
    """One way out of the box. Several threads may send at once."""

    @property
    def name(self) -> str:
        """As it is called in the settings."""

    @property
    def ready(self) -> bool:
        """Whether it can work at all."""

    @property
    def drops_by_key(self) -> bool:
        """Whether who receives tells nobody twice under one key. If not, the box must not repeat what may be known."""

    def send(self, message: Message) -> Answer:
        """One attempt. Raises nothing that a network, a server or a program can cause."""

    def close(self) -> None:
        """Ends what is open or runs."""
