"""`bleedwatch doctor`: what is wrong and what to do, one line each."""

import json
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

from appliance.operations.check_engine import look_at_backend, look_at_engine
from appliance.operations.check_up import (
    look_at_channels,
    look_at_database,
    look_at_folders,
    look_at_machine,
    look_at_who_can_be_told,
)
from appliance.operations.findings import Finding, Grade
from appliance.settings import BadSettings, Settings, read_settings

_MARK = {Grade.FINE: ("fine ", "dim"), Grade.FAULT: ("FAULT", "yellow"), Grade.CANNOT_WORK: ("STOP ", "bold red")}


def _findings(config: Path | None, engine: Path) -> list[Finding]:
    found = list(look_at_machine())
    if config is None:
        found.append(
            Finding(about="settings", grade=Grade.FINE, said="none named; only machine and engine are checked")
        )
        return [*found, look_at_engine(engine, threads=2)]
    try:
        settings: Settings = read_settings(config)
    except BadSettings as bad:
        step = "Mend the file; every setting stands in what `bleedwatch init` writes."
        faults = [Finding(about="settings", grade=Grade.CANNOT_WORK, said=said, next_step=step) for said in bad.faults]
        return [*found, *faults]
    found.append(Finding(about="settings", grade=Grade.FINE, said=f"{config} is in order"))
    found += look_at_folders(settings)
    found.append(look_at_database(settings))
    found.append(look_at_engine(settings.engine.folder, settings.engine.threads))
    found += look_at_backend(settings)
    return [*found, *look_at_channels(settings), *look_at_who_can_be_told(settings)]


def run_doctor(config: Path | None, engine: Path, *, as_json: bool) -> int:
    """Prints every finding and returns the worst grade: 0 fine, 1 works with faults, 2 cannot work."""
    found = _findings(config, engine)
    worst = max(finding.grade for finding in found)
    if as_json:
        document = {"schema_version": 1, "grade": worst.name, "findings": [one.as_json() for one in found]}
        sys.stdout.write(json.dumps(document, indent=2) + "\n")
        return int(worst)
    console = Console(highlight=False, soft_wrap=True)
    for finding in found:
        word, style = _MARK[finding.grade]
        step = f"  -> {finding.next_step}" if finding.next_step else ""
        console.print(Text(word, style=style), Text(f"{finding.about}: {finding.said}.{step}"))
    return int(worst)
