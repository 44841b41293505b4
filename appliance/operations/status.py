"""`bleedwatch status`: what the box is doing, in one screen."""

import json
import sys
from typing import Any

from rich.console import Console
from rich.table import Table

from appliance.core.engine_duty import SAID, DutyState
from appliance.core.reasons import Of, sentence
from appliance.core.status import PROGRAMS, SILENT_S, ProgramStatus
from appliance.core.times import Now
from appliance.core.watching import live_pages
from appliance.core.words import Level
from appliance.processes.clock import now
from appliance.processes.status_file import read_status
from appliance.records.alerts import open_alerts
from appliance.records.deliveries import channel_standing
from appliance.records.engines import current_engine
from appliance.records.files import verdict_sums
from appliance.records.ledger import Ledger
from appliance.records.studies import open_studies
from appliance.settings import Settings

SCHEMA_VERSION = 1


def look(settings: Settings) -> dict[str, Any]:
    """Everything on the screen, as plain values. No name of a patient among them. CannotStart without a ledger."""
    moment = now()
    statuses = {name: read_status(settings.runtime_folder, name) for name in PROGRAMS}
    ledger = Ledger.open(settings.database)
    try:
        with ledger.reading() as read:
            alerts = open_alerts(read)
            engine = current_engine(read)
            sums = verdict_sums(read)
            studies = open_studies(read)
            channels = [channel_standing(read, name) for name in settings.courier.channels]
    finally:
        ledger.close()
    return {
        "schema_version": SCHEMA_VERSION,
        "programs": {
            name: None if status is None else round(status.silent_s(moment.monotonic_s), 1)
            for name, status in statuses.items()
        },
        "engine": None if engine is None else {"name": engine.engine_name, "backend": engine.backend},
        "duty": _duty(statuses["triage"], moment),
        "files": {verdict.value: count for verdict, count in sums.items()},
        "open_studies": len(studies),
        "open_alerts": {level.value: sum(alert.level is level for alert in alerts) for level in Level},
        "technical": [
            {"code": alert.key.first, "subject": alert.key.second, "said": _said(alert.key.first, alert.details)}
            for alert in alerts
            if alert.level is Level.TECHNICAL
        ],
        "armed_pages": live_pages(statuses["dashboard"], moment),
        "channels": [
            {"name": one.name, "failing": one.failing, "waiting": one.due, "given_up": one.dead} for one in channels
        ],
    }


def _duty(triage: ProgramStatus | None, moment: Now) -> dict[str, Any] | None:
    """Which backend is on duty and why, by triage's own word; None while it is silent."""
    if triage is None or triage.is_silent(moment.monotonic_s) or "engine_duty" not in triage.facts:
        return None
    names = {"engine_duty": "state", "backend": "backend", "engine_why": "why"}
    names |= {"engine_retry_s": "retry_s", "engine_build": "build"}
    return {name: triage.facts[fact] for fact, name in names.items() if fact in triage.facts}


def _said(code: str, details: dict[str, str]) -> str:
    return sentence(Of.TECHNICAL, code, **details)


def _channel(seen: dict[str, Any]) -> str:
    counts = [f"{seen[what]} {what.replace('_', ' ')}" for what in ("waiting", "given_up") if seen[what]]
    notes = [*(["does not take messages"] if seen["failing"] else []), *counts]
    return f"{seen['name']} ({', '.join(notes)})" if notes else str(seen["name"])


def run_status(settings: Settings, *, as_json: bool) -> int:
    """Prints it. Returns 0 where all programs live, else 1."""
    seen = look(settings)
    dead = [name for name, age_s in seen["programs"].items() if age_s is None or age_s > SILENT_S]
    if as_json:
        sys.stdout.write(json.dumps(seen, indent=2) + "\n")
        return 1 if dead else 0
    table = Table(show_header=False, box=None, pad_edge=False)
    for name, age_s in seen["programs"].items():
        table.add_row(name, "gives no sign of life" if name in dead else f"alive, {age_s:.0f} s ago")
    engine = seen["engine"]
    table.add_row("engine", f"{engine['name']} on {engine['backend']}" if engine else "none has been loaded yet")
    if duty := seen["duty"]:
        table.add_row("", f"{SAID[DutyState(duty['state'])]}: {duty['why']}")
    table.add_row("open studies", str(seen["open_studies"]))
    table.add_row("open alerts", ", ".join(f"{count} {level}" for level, count in seen["open_alerts"].items()))
    table.add_row("files", ", ".join(f"{count} {verdict}" for verdict, count in seen["files"].items()))
    channels = ", ".join(_channel(one) for one in seen["channels"]) or "no channel"
    table.add_row("told by", f"{seen['armed_pages']} armed pages; {channels}")
    for fault in seen["technical"]:
        table.add_row("TECHNICAL", fault["said"])
    Console(highlight=False).print(table)
    return 1 if dead else 0
