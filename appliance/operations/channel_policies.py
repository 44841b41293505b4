"""From the settings of the channels to what the courier works by: here their secrets are read."""

from pathlib import Path
from typing import assert_never

from appliance.core.errors import CannotStart
from appliance.courier.policy import (
    ChannelPolicy,
    CommandPolicy,
    CourierPolicy,
    EmailPolicy,
    Security,
    UnreadyPolicy,
    WebhookPolicy,
)
from appliance.settings import Settings
from appliance.settings_courier import ChannelSettings, CommandSettings, EmailSettings, WebhookSettings


def courier_policy(settings: Settings) -> CourierPolicy:
    """Everything the courier works by.

    A channel whose secret cannot be read is set all the same, as one that takes nothing: the others must go on telling.
    CannotStart, with every fault, where no channel is left.
    """
    channels = tuple(_ready_or_not(name, said) for name, said in settings.courier.channels.items())
    unready = [one.said for one in channels if isinstance(one, UnreadyPolicy)]
    if unready and len(unready) == len(channels):
        raise CannotStart("\n".join(unready))
    return CourierPolicy(channels=channels, escalation=settings.courier.escalation, scanner=settings.dashboard.scanner)


def channel_policy(name: str, said: ChannelSettings) -> ChannelPolicy:
    """What a channel works by. CannotStart, in words, without its secret or its program."""
    match said:
        case WebhookSettings():
            return WebhookPolicy(name=name, url=said.url, secret=_secret(name, said.secret_file))
        case EmailSettings():
            return EmailPolicy(
                name=name,
                host=said.host,
                port=said.port_used,
                sender=said.sender,
                to=said.to,
                security=Security(said.security),
                user=said.user,
                password=_password(name, said.password_file) if said.password_file else "",
            )
        case CommandSettings():
            return CommandPolicy(name=name, argv=said.argv, timeout_s=said.timeout_s)
        case _:
            assert_never(said)


def _ready_or_not(name: str, said: ChannelSettings) -> ChannelPolicy:
    try:
        return channel_policy(name, said)
    except CannotStart as fault:
        return UnreadyPolicy(name=name, said=str(fault))


def _password(name: str, path: Path) -> str:
    password = _secret(name, path).decode()
    if not password.isascii():
        raise CannotStart(
            f"The password in {path} has letters beyond ASCII, which a mail server cannot be told. "
            f"Next step: give the user of the channel {name} another one."
        )
    return password


def _secret(name: str, path: Path) -> bytes:
    """What stands in a file that only the courier reads, without white space around it."""
    try:
        secret = path.read_bytes().strip()
        secret.decode()
    except OSError as error:
        raise CannotStart(
            f"The secret of the channel {name} cannot be read from {path}: {error.strerror}. "
            "Next step: write it there, and let the courier's user read it."
        ) from None
    except UnicodeDecodeError:
        raise CannotStart(f"{path} is not text. Next step: write the secret of the channel {name} there.") from None
    if not secret:
        raise CannotStart(f"{path} is empty. Next step: write the secret of the channel {name} there.")
    return secret
