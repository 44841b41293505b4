"""`bleedwatch alerts`: the history of alerts, for people as a table, for programs as JSON Lines."""

import json
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from appliance.core.plain_text import plain
from appliance.core.times import LAST_NS, NS_PER_S
from appliance.records.alert_export import Depth, Json, export_steps
from appliance.records.judged_export import judged_steps
from appliance.records.ledger import Ledger
from appliance.settings import Settings

WITHOUT_NAMES: Final = (
    "No names: what a terminal shows stays in it, and in whatever records it. A study is the beginning of the sha256 of "
    "its UID. --with-identity shows the patient."
)


def run_alerts(settings: Settings, *, as_json: bool, since: date | None, open_only: bool, depth: Depth) -> int:
    """Prints the alerts first raised since midnight of that day (all for None), the oldest first. Returns 0."""
    since_ns = _midnight_ns(since) if since is not None else 0
    with Ledger.open(settings.database) as ledger:
        steps = export_steps(ledger, since_ns=since_ns, open_only=open_only, depth=depth)
        if as_json:
            _print_lines(steps)
        else:
            _print_table((one for step in steps for one in step), with_patient=depth is Depth.IDENTITY)
    return 0


def run_judged(settings: Settings, *, as_json: bool, since: date | None, depth: Depth) -> int:
    """Prints the studies without an alert that a person has judged. Returns 0."""
    since_ns = _midnight_ns(since) if since is not None else 0
    with Ledger.open(settings.database) as ledger:
        steps = judged_steps(ledger, since_ns=since_ns, depth=depth)
        if as_json:
            _print_lines(steps)
        else:
            _print_judged((one for step in steps for one in step), with_patient=depth is Depth.IDENTITY)
    return 0


def _print_judged(studies: Iterator[Json], *, with_patient: bool) -> None:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("#", "patient" if with_patient else "study", "last landed", "outcome", "judged"):
        table.add_column(name)
    for one in studies:
        patient = one.get("patient", {})
        who = ", ".join(part for part in (patient.get("name"), patient.get("id")) if part) or one["study"]
        said = "; before: ".join(f"{last['judged']} by {last['by']}" for last in reversed(one["judgements"]))
        cells = (str(one["study_number"]), who, _time(one["last_landed_ns"]), str(one["outcome"] or ""), said)
        table.add_row(*(Text(plain(cell)) for cell in cells))
    Console(highlight=False, soft_wrap=True).print(
        table if table.row_count else "No study without an alert was judged."
    )


def _midnight_ns(day: date) -> int:
    """When this day began in the zone of the box."""
    return min(int(datetime(day.year, day.month, day.day).astimezone().timestamp()) * NS_PER_S, LAST_NS)


def _print_lines(steps: Iterator[list[Json]]) -> None:
    for step in steps:
        sys.stdout.writelines(json.dumps(one, sort_keys=True) + "\n" for one in step)


def _print_table(alerts: Iterator[Json], *, with_patient: bool) -> None:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("#", "level", "raised", "patient" if with_patient else "study", "what", "acknowledged", "judged"):
        table.add_column(name)
    shown = 0
    for one in alerts:
        table.add_row(*(Text(plain(cell)) for cell in _cells(one, with_patient=with_patient)))
        shown += 1
    console = Console(highlight=False, soft_wrap=True)
    console.print(table if shown else "No alerts.")
    if shown and not with_patient:
        console.print(Text(WITHOUT_NAMES, style="dim"))


def _cells(one: Json, *, with_patient: bool) -> tuple[str, ...]:
    judged = [f"{said['judged']} by {said['by']}" for said in one["judgements"]]
    return (
        str(one["alert"]),
        f"{one['level']}{', withdrawn' if one['withdrawn'] else ''}{', open' if one['open'] else ''}",
        _time(one["raised_ns"]),
        _patient(one) if with_patient else one["study"] or one["subject"] or "",
        _what(one),
        f"{_time(one['acknowledged_ns'])} by {one['acknowledged_by']}" if one["acknowledged_ns"] else "not yet",
        "; before: ".join(reversed(judged)),
    )


def _patient(one: Json) -> str:
    patient = one["patient"]
    return ", ".join(part for part in (patient["name"], patient["id"]) if part) if patient else one["subject"] or ""


def _what(one: Json) -> str:
    if one["code"]:
        return str(one["code"])
    findings = [reading["finding"] for reading in one["readings"] if reading["finding"]]
    if not findings:
        return ""
    last = findings[-1]
    return (
        f"{last['label'].upper() if last['label'] != 'any' else 'any kind'}, {last['side']}, {one['finality'].lower()}"
    )


def _time(at_ns: Any) -> str:
    return datetime.fromtimestamp(at_ns / NS_PER_S, tz=UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")
