"""What must be so before the appliance can work, each as one finding with its next step."""

import os
import resource
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from appliance.core.delivery import ChannelStanding
from appliance.core.errors import CannotStart, Fault
from appliance.core.escalation import EscalationPolicy
from appliance.core.status import PROGRAMS
from appliance.core.watching import live_pages
from appliance.inference.driver import probe_apart
from appliance.intake.inbox import closed_below
from appliance.operations.channel_policies import channel_policy
from appliance.operations.check_engine import look_at_backend, look_at_engine
from appliance.operations.findings import Finding, Grade, bad, fine
from appliance.processes.clock import now
from appliance.processes.status_file import read_status
from appliance.records.deliveries import channel_standing
from appliance.records.ledger import Ledger
from appliance.settings import Settings
from appliance.settings_courier import ChannelSettings, CommandSettings

FREE_LEAST_BYTES = 2 * 1024**3
WATCHES_LEAST = 8192
OPEN_FILES_LEAST = 1024


def look_at_machine() -> Iterator[Finding]:
    """What needs no settings."""
    version = ".".join(str(part) for part in sys.version_info[:3])
    yield fine("machine", f"{os.cpu_count()} cores, Python {version}")
    yield _gpu()
    yield _clock()
    yield _watches()
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if files < OPEN_FILES_LEAST:
        yield bad("open files", Grade.FAULT, f"a process may open only {files}", "Raise LimitNOFILE or ulimit -n.")


def _gpu() -> Finding:
    """No GPU is no fault: the processor reads every slice."""
    driver = probe_apart()
    if not driver.gpus:
        return fine("GPU", f"none: {driver.said}")
    cards = "; ".join(f"{gpu.name}, compute capability {gpu.compute_capability}" for gpu in driver.gpus)
    return fine("GPU", f"{cards}; the driver serves CUDA {driver.version}")


def _clock() -> Finding:
    year = 1970 + now().wall_ns // 31_556_952_000_000_000
    if year < 2026:
        return bad("clock", Grade.FAULT, f"it says {year}", "Set the clock or start a time service.")
    return fine("clock", f"it says {year}; whether a time service keeps it is not checked")


def _watches() -> Finding:
    try:
        most = int(Path("/proc/sys/fs/inotify/max_user_watches").read_text())
    except (OSError, ValueError):
        return fine("watch limit", "cannot be read here")
    if most < WATCHES_LEAST:
        step = f"sysctl fs.inotify.max_user_watches={WATCHES_LEAST}; until then slices in some folders are found later."
        return bad("watch limit", Grade.FAULT, f"the system lets a user watch {most} folders", step)
    return fine("watch limit", f"{most} folders")


def look_at_folders(settings: Settings) -> Iterator[Finding]:
    """Folders that must be there and writable, and room on their disks."""
    folders = {
        "inbox": settings.inbox.folder,
        "store": settings.store_folder,
        "state": settings.state_folder,
        "runtime": settings.runtime_folder,
    }
    for about, folder in folders.items():
        yield _folder(about, folder, must_write=about != "inbox" or settings.inbox.owned)
    yield from _closed_folders(settings.inbox.folder)
    for about in ("store", "state"):
        if folders[about].is_dir():
            yield _free(about, folders[about])


def _folder(about: str, folder: Path, *, must_write: bool) -> Finding:
    if not folder.is_dir():
        return bad(about, Grade.CANNOT_WORK, f"{folder} is not there", f"mkdir -p {folder}, owned by the service.")
    if not os.access(folder, os.R_OK | os.X_OK):
        return bad(about, Grade.CANNOT_WORK, f"{folder} cannot be read", "Check its owner and mode.")
    if must_write:
        try:
            with tempfile.TemporaryFile(dir=folder, prefix=".doctor-"):
                pass
        except OSError as error:
            step = "Check its owner and mode, and that the disk is not mounted read-only."
            return bad(about, Grade.CANNOT_WORK, f"{folder} cannot be written ({error.strerror})", step)
    return fine(about, f"{folder} can be {'written' if must_write else 'read'}")


def _closed_folders(inbox: Path) -> Iterator[Finding]:
    """How many, and never which: folders are named after patients. As the service's user sees them."""
    try:
        closed = closed_below(inbox)
    except OSError:
        return  # a finding of its own
    if closed:
        said = (
            f"{closed} folder{'' if closed == 1 else 's'} below {inbox} cannot be opened: what lies there is not seen"
        )
        step = "Give the user of the service the right to read and enter what is put there (docs/install.md)."
        yield bad("inbox", Grade.FAULT, said, step)


def _free(about: str, folder: Path) -> Finding:
    usage = shutil.disk_usage(folder)
    percent = round(100 * usage.free / usage.total)
    if usage.free < FREE_LEAST_BYTES:
        step = "Make room: a full disk stops the records and with them the alerts."
        return bad(f"{about} disk", Grade.FAULT, f"only {usage.free // 1024**2} MB are free", step)
    return fine(f"{about} disk", f"{percent} % free ({usage.free // 1024**3} GB)")


def look_at_database(settings: Settings) -> Finding:
    """Its form, and that it opens."""
    try:
        Ledger.open(settings.database).close()
    except CannotStart as error:
        return bad("database", Grade.CANNOT_WORK, str(error), "")
    return fine("database", f"{settings.database} opens and has the form of this version")


def look_at_who_can_be_told(settings: Settings) -> Iterator[Finding]:
    """Programs that live, pages that hear, and how many channels there are."""
    moment = now()
    running = {name: read_status(settings.runtime_folder, name) for name in PROGRAMS}
    if not any(running.values()):
        yield fine("programs", "none is running (bleedwatch run starts them)")
        return
    for name, status in running.items():
        if status is None or status.is_silent(moment.monotonic_s):
            yield bad(name, Grade.FAULT, "gives no sign of life", "See its log; start it again.")
        else:
            yield fine(name, f"alive, {status.silent_s(moment.monotonic_s):.0f} s ago")
    armed = live_pages(running["dashboard"], moment)
    told = settings.courier.escalation.everybody
    standings = _standings(settings)
    works = [name for name in told if not _unready(name, settings.courier.channels[name])]
    works = [name for name in works if name not in standings or not standings[name].failing]
    if armed == 0 and not works:
        none = "no channel takes messages" if told else "no channel is set"
        step = f"Open the board on a screen and arm its sound, and {'mend' if told else 'set'} a channel."
        yield bad("who can be told", Grade.FAULT, f"nobody: no page is open and armed, and {none}", step)
    else:
        channels = f"{len(works)} channel{'' if len(works) == 1 else 's'}"
        yield fine("who can be told", f"{armed} armed pages, {channels}")


def look_at_channels(settings: Settings) -> Iterator[Finding]:
    """What each channel needs, and what came of its messages so far."""
    said = settings.courier.channels
    if not said:
        yield fine("channels", "none is set under [courier]: only an open page tells")
        return
    unready = {name: fault for name, of in said.items() if (fault := _unready(name, of))}
    # One channel that cannot work must not keep the others from telling.
    grade = Grade.CANNOT_WORK if len(unready) == len(said) else Grade.FAULT
    standings = _standings(settings)
    for name in said:
        if name in unready:
            what, _, step = unready[name].partition(" Next step: ")
            yield bad(f"channel {name}", grade, what.rstrip("."), step[:1].upper() + step[1:])
        else:
            yield _channel(name, said[name].kind, standings.get(name))
    yield _ladder(settings.courier.escalation)


def _unready(name: str, said: ChannelSettings) -> str:
    try:
        channel_policy(name, said)
    except CannotStart as fault:
        return str(fault)
    if isinstance(said, CommandSettings) and not os.access(said.argv[0], os.X_OK):
        return (
            f"{said.argv[0]} cannot be started. Next step: put the program there, and let the courier's user start it."
        )
    return ""


def _standings(settings: Settings) -> dict[str, ChannelStanding]:
    """Of each channel, what the ledger knows; nothing without a ledger, which is a finding of its own."""
    try:
        with Ledger.open(settings.database) as ledger, ledger.reading() as r:
            return {name: channel_standing(r, name) for name in settings.courier.channels}
    except (CannotStart, Fault):
        return {}


def _channel(name: str, kind: str, standing: ChannelStanding | None) -> Finding:
    about = f"channel {name}"
    if standing is not None and standing.failing:
        step = "Mend it, then start a test alarm: it goes to the channels of the first step."
        return bad(about, Grade.FAULT, f"{kind}, did not take its last message ({standing.last_error})", step)
    tried = standing is not None and standing.taken_ns is not None
    said = "took its last message" if tried else "nothing sent yet: start a test alarm to try it"
    given_up = f", {standing.dead} given up so far" if standing is not None and standing.dead else ""
    return fine(about, f"{kind}, {said}{given_up}")


def _ladder(policy: EscalationPolicy) -> Finding:
    steps = "; ".join(f"{step.name} after {step.after_s:g} s" for step in policy.steps)
    return fine("steps", f"{steps}; then all again each {policy.repeat_s:g} s until somebody answers")


def refuse_what_cannot_work(settings: Settings) -> None:
    """CannotStart with every finding that would keep the appliance from working."""
    looks: list[Callable[[], Iterator[Finding]]] = [
        lambda: look_at_folders(settings),
        lambda: iter([look_at_database(settings)]),
        lambda: iter([look_at_engine(settings.engine.folder, settings.engine.threads)]),
        lambda: look_at_backend(settings),
        lambda: look_at_channels(settings),
    ]
    bad = [finding for look in looks for finding in look() if finding.grade is Grade.CANNOT_WORK]
    if bad:
        raise CannotStart("\n".join(f"{one.about}: {one.said}. {one.next_step}".rstrip() for one in bad))
