"""Kinds of values that more than one section of the settings has."""

import ipaddress
import re
from pathlib import Path
from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, ConfigDict

NOT_CHANNELS: Final = frozenset({"page", "courier", "triage", "dashboard"})
"""Names under which others write into the life of an alert."""


def _absolute(path: Path) -> Path:
    if not path.is_absolute():
        raise ValueError("must be a whole path that begins with /")
    return path


def _web_address(url: str) -> str:
    if not re.fullmatch(r"https?://[^\s/]+(/\S*)?", url):
        raise ValueError("must be a web address like https://gateway.example/alerts")
    return url


def _mail_address(address: str) -> str:
    if not (address.isascii() and re.fullmatch(r"[^@\s<>()\[\],;:\"\\]{1,64}@[A-Za-z0-9.-]{1,190}", address)):
        raise ValueError("must be a mail address like stroke@hospital.example")
    return address


def _channel_name(name: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9-]{0,29}", name):
        raise ValueError("must be a short name of small letters, digits and dashes, like ward-pager")
    if name in NOT_CHANNELS:
        raise ValueError("is a word of the record for something else: give the channel another name")
    return name


def _said_name(name: str) -> str:
    if not (0 < len(name.strip()) <= 40 and name.isprintable()):
        raise ValueError("must be a name of 1 to 40 letters, as people say it, like Stroke team")
    return name.strip()


Folder = Annotated[Path, AfterValidator(_absolute)]
WebAddress = Annotated[str, AfterValidator(_web_address)]
MailAddress = Annotated[str, AfterValidator(_mail_address)]
ChannelName = Annotated[str, AfterValidator(_channel_name)]
SaidName = Annotated[str, AfterValidator(_said_name)]


class Section(BaseModel):
    """A section of the file: nothing in it that is not a setting, and nothing changes."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=False)


def is_loopback(host: str) -> bool:
    """Whether an address reaches this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
