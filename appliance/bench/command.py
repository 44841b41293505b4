"""`bleedwatch benchmark`: how fast this machine is, and where the time goes. It judges nothing."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from appliance.bench.against import compare, read_document
from appliance.bench.document import Subject, expected_s, measure
from appliance.bench.plan import QUICK, WHOLE, Plan
from appliance.bench.report import page_of
from appliance.bench.run import Stopped, a_run
from appliance.bench.table import show
from appliance.core.errors import CannotStart, Fault
from appliance.inference.loading import load_engine
from appliance.operations import demo_box
from appliance.processes.signals import stop_on_signals

INTERRUPTED: Final = 130  # as a shell says it of Ctrl-C


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a person has asked for. `plans` and `python`: where TensorRT plans and their interpreter are, if named."""

    engine: Path
    quick: bool = False
    as_json: bool = False
    html: Path | None = None
    against: Path | None = None
    plans: Path | None = None
    python: Path | None = None


def run_benchmark(wish: Wish, plan: Plan | None = None) -> int:
    """Measures, shows, writes. Returns 0 whatever the figures are, 130 for Ctrl-C. CannotStart in words."""
    earlier = read_document(wish.against) if wish.against else None
    if wish.html is not None:
        _refuse_bad_place(wish.html)
    try:
        engine = load_engine(wish.engine)
    except Fault as fault:
        raise CannotStart(f"{fault.message}. Next step: bleedwatch doctor") from None
    subject = Subject(
        folder=wish.engine,
        engine=engine,
        plans=wish.plans,
        python=wish.python,
    )
    chosen = plan or (QUICK if wish.quick else WHOLE)
    try:
        with a_run(expected_s(chosen), chosen.within_s, stop_on_signals()) as run:
            document = measure(chosen, subject, run)
    except (Stopped, demo_box.Stopped):
        sys.stderr.write("Stopped before the end: nothing is shown of a run that is not whole.\n")
        return INTERRUPTED
    finally:
        engine.backend.close()
    if earlier is not None:
        document["against"] = compare(document, earlier)
    _tell(document, as_json=wish.as_json, html=wish.html)
    return 0


def _refuse_bad_place(html: Path) -> None:
    """Before anything is measured: a run takes minutes."""
    if html.is_dir():
        raise CannotStart(f"{html} is a folder. Name the file that the report shall be written to.")
    try:
        html.touch()
    except OSError as error:
        raise CannotStart(f"{html} cannot be written: {error.strerror}. Name another file.") from None


def _tell(document: dict[str, Any], *, as_json: bool, html: Path | None) -> None:
    if html is not None:
        html.write_text(page_of(document), encoding="utf-8")
    if as_json:
        sys.stdout.write(json.dumps(document, indent=1) + "\n")
    else:
        show(document, Console(highlight=False))
    if html is not None:
        sys.stderr.write(f"The report is in {html}\n")
