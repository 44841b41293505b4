"""One TOML file -> one frozen object, and every fault of the file at once, in words, with its line."""

import ipaddress
import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from appliance.core.errors import CannotStart

DEFAULT_PORT = 8642
DATABASE = "bleedwatch.sqlite"


class BadSettings(CannotStart):
    """The settings file cannot be used. `faults` are sentences, each with its line."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


def _absolute(path: Path) -> Path:
    if not path.is_absolute():
        raise ValueError("must be a whole path that begins with /")
    return path


def _web_address(url: str) -> str:
    if not re.fullmatch(r"https?://[^\s/]+(/\S*)?", url):
        raise ValueError("must be a web address like https://gateway.example/alerts")
    return url


def is_loopback(host: str) -> bool:
    """Whether an address reaches this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


Folder = Annotated[Path, AfterValidator(_absolute)]
WebAddress = Annotated[str, AfterValidator(_web_address)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class InboxSettings(_Section):
    """Where the scanner writes."""

    folder: Folder
    owned: bool = Field(default=True, description="true: files leave the inbox once they are safe in the store")


class EngineSettings(_Section):
    """Which engine reads."""

    folder: Folder
    threads: int = Field(default=1, ge=1, le=64)


class DashboardSettings(_Section):
    """The page at the console."""

    host: str = "127.0.0.1"
    port: int = Field(default=DEFAULT_PORT, ge=0, le=65535)
    scanner: str = Field(default="CT", max_length=60, description="the name that stands in the header of each page")
    people: tuple[str, ...] = Field(default=(), description="names to choose from when an alert is acknowledged")
    keep_acknowledged_h: float = Field(default=12.0, gt=0, le=72)

    @model_validator(mode="after")
    def _loopback_only(self) -> Self:
        if not is_loopback(self.host):
            raise ValueError(
                "host must be an address of this machine alone (127.0.0.1, ::1, localhost): "
                "pages that others can reach need users and a certificate, which this version does not have"
            )
        return self


class WebhookSettings(_Section):
    """A gateway that is told by signed messages."""

    url: WebAddress
    secret_file: Folder = Field(description="a file with the shared secret, readable by the courier only")


class CourierSettings(_Section):
    """Who is told besides the open pages."""

    webhook: WebhookSettings | None = None


class Settings(_Section):
    """Everything a person may set."""

    state_folder: Folder = Field(description="the ledger and what is set aside; a local disk, never a network share")
    store_folder: Folder = Field(description="pixels at rest")
    runtime_folder: Folder = Field(description="status files; best in memory")
    inbox: InboxSettings
    engine: EngineSettings
    dashboard: DashboardSettings = DashboardSettings()
    courier: CourierSettings = CourierSettings()

    @property
    def database(self) -> Path:
        """The ledger's file."""
        return self.state_folder / DATABASE

    @property
    def set_aside_folder(self) -> Path:
        """Where files go that rest in an owned inbox and cannot be taken."""
        return self.state_folder / "set-aside"


def _line_of(text: str, place: tuple[str, ...]) -> int | None:
    """The line on which a setting stands, or its section where the setting itself is missing."""
    section: tuple[str, ...] = ()
    best: tuple[int, int] | None = None
    for number, line in enumerate(text.splitlines(), start=1):
        if heading := re.match(r"\s*\[([^\[\]]+)\]", line):
            section = tuple(part.strip().strip('"') for part in heading[1].split("."))
            here = section
        elif setting := re.match(r'\s*"?([\w-]+)"?\s*=', line):
            here = (*section, setting[1])
        else:
            continue
        if place[: len(here)] == here and (best is None or len(here) > best[0]):
            best = (len(here), number)
    return best[1] if best else None


def _in_words(fault: dict[str, Any]) -> str:
    if fault["type"] == "missing":
        return "is missing"
    if fault["type"] == "extra_forbidden":
        return "is not a setting of Bleedwatch; check its spelling"
    message: str = fault["msg"]
    return message.removeprefix("Value error, ").removeprefix("Input ")


def parse_settings(text: str, name: str) -> Settings:
    """The settings of a TOML text; `name` stands in the faults. BadSettings with every fault."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BadSettings([f"{name}: this is not TOML: {error}"]) from None
    try:
        return Settings.model_validate(document)
    except ValidationError as error:
        faults = []
        for fault in error.errors():
            place = tuple(str(part) for part in fault["loc"] if not isinstance(part, int))
            line = _line_of(text, place)
            where = f"{name}, line {line}" if line else name
            faults.append(f"{where}: {'.'.join(place)} {_in_words(dict(fault))}")
        raise BadSettings(faults) from None


def read_settings(path: Path) -> Settings:
    """The settings of a file. BadSettings if it cannot be read, or with every fault in it."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise BadSettings([f"{path}: there is no such file. Make one: bleedwatch init {path}"]) from None
    except (OSError, UnicodeDecodeError) as error:
        raise BadSettings([f"{path}: cannot be read ({error.__class__.__name__}). Check who may read it."]) from None
    return parse_settings(text, str(path))


def commented_toml(*, root: Path, inbox: Path, engine: Path) -> str:
    """A first settings file, with a word on every line of it."""
    return f"""# Settings of Bleedwatch. After a change: bleedwatch doctor --config THIS_FILE

state_folder = "{root}/state"      # the ledger; a local disk, never a network share
store_folder = "{root}/store"      # pixels at rest
runtime_folder = "/run/bleedwatch" # status files; best in memory

[inbox]
folder = "{inbox}"                 # where the scanner writes
owned = true                       # files leave the inbox once they are safe in the store

[engine]
folder = "{engine}"
threads = 1                        # cores the engine may use (docs/decisions/0003-onnxruntime-threads.md)

[dashboard]
host = "127.0.0.1"                 # this machine alone
port = {DEFAULT_PORT}
scanner = "CT 1"                   # stands in the header of each page
people = []                        # names to choose from when an alert is acknowledged
keep_acknowledged_h = 12           # how long an acknowledged alert stays on the board

# A gateway that is told besides the open pages: signed JSON messages.
# [courier.webhook]
# url = "https://gateway.example/alerts"
# secret_file = "/etc/bleedwatch/webhook.secret"
"""
