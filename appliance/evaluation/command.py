"""`bleedwatch evaluate`: an engine against labelled pictures and exams, or drawn ones. It judges nothing: the figures speak."""

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from appliance.core.errors import CannotStart, Fault
from appliance.core.words import LABELS
from appliance.evaluation.answers import ExamAnswer, ImageAnswer
from appliance.evaluation.document import Run, summary_of
from appliance.evaluation.drawn_patients import Drawn, DrawnPatients
from appliance.evaluation.page import page_of
from appliance.evaluation.sheet import sheet_of
from appliance.evaluation.sources import Source, source_of
from appliance.evaluation.table import show
from appliance.inference.loading import LoadedEngine, load_engine
from appliance.phantoms.exam import HELD_OUT_SEED
from appliance.phantoms.unseen import Unseen


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a person has asked for: one of `manifest`, `data` and `phantoms`, the next five only with the last.

    `phantoms`: how many patients are drawn.
    """

    engine: Path
    manifest: Path | None = None
    data: Path | None = None
    phantoms: int | None = None
    label_maps: Path | None = None
    hard: bool = False
    unseen: str | None = None
    bleed_free: bool = False
    seed: int | None = None
    as_json: bool = False
    html: Path | None = None


class _Rate(ProgressColumn):
    """How many a second, with a decimal where they are few."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:.{0 if speed >= 10 else 1}f} {task.fields['counted']}/s")


def run_evaluate(wish: Wish) -> int:
    """Reads, tells, writes. Returns 0 whatever the figures are. CannotStart in words."""
    drawn = _drawn(wish)
    source: Source = DrawnPatients(drawn) if drawn is not None else source_of(wish.manifest, wish.data)
    if wish.html is not None:
        _refuse_bad_place(wish.html)
    try:
        engine = load_engine(wish.engine)
    except Fault as fault:
        raise CannotStart(f"{fault.message}. Next step: bleedwatch doctor") from None
    try:
        _evaluate(wish, source, engine)
    finally:
        engine.backend.close()
    return 0


def _drawn(wish: Wish) -> Drawn | None:
    """The patients that were asked for. CannotStart where not one source is named, or what goes with another."""
    if sum(named is not None for named in (wish.manifest, wish.data, wish.phantoms)) != 1:
        raise CannotStart(
            "Name one of --manifest rows.csv, --data FOLDER and --phantoms COUNT. See: bleedwatch evaluate --help"
        )
    if wish.phantoms is not None:
        return Drawn(
            count=wish.phantoms,
            first_seed=HELD_OUT_SEED if wish.seed is None else wish.seed,
            label_maps=wish.label_maps,
            hard=wish.hard,
            unseen=Unseen(wish.unseen) if wish.unseen else None,
            bleed_free=wish.bleed_free,
        )
    if wish.label_maps or wish.hard or wish.unseen or wish.bleed_free or wish.seed is not None:
        raise CannotStart(
            "--label-maps, --hard, --unseen, --bleed-free and --seed say who is drawn: they go with --phantoms."
        )
    return None


def _evaluate(wish: Wish, source: Source, engine: LoadedEngine) -> None:
    began_s = time.monotonic()
    images: list[ImageAnswer] = []
    exams: list[ExamAnswer] = []
    with reading_bar(source.size, "pictures" if wish.phantoms is None else "exams") as tell:
        for one in source.answers(engine, tell):
            if isinstance(one, ImageAnswer):
                images.append(one)
            else:
                exams.append(one)
            if wish.as_json:
                sys.stdout.write(json.dumps(line_of(one)) + "\n")
    run = Run(
        card=engine.card,
        backend=engine.backend.name,
        source="manifest" if wish.manifest else "data" if wish.data else "phantoms",
        drawn=source.said if isinstance(source, DrawnPatients) else "",
        took_s=time.monotonic() - began_s,
    )
    summary = summary_of(images, exams, run)
    if wish.as_json:
        sys.stdout.write(json.dumps(summary) + "\n")
    else:
        show(summary, Console(highlight=False))
    if wish.html is not None:
        wish.html.write_text(page_of(summary, sheet_of(summary["worst"], images, source, engine)), encoding="utf-8")
        shown = "It shows patients: keep it where their pictures may be kept." if wish.phantoms is None else ""
        sys.stderr.write(f"The report is in {wish.html}. {shown}".rstrip() + "\n")


def line_of(one: ImageAnswer | ExamAnswer) -> dict[str, Any]:
    """One line of `--json`."""
    six: dict[str, float | None] = dict(zip(LABELS, one.probabilities or (None,) * len(LABELS), strict=True))
    if isinstance(one, ExamAnswer):
        return {
            "kind": "exam",
            "stack": one.stack,
            "outcome": one.outcome,
            **six,
            "level": one.level,
            "reasons": list(one.reasons),
            "slices": one.slices,
            "early_after": one.early_after,
        }
    x, y = one.peak_xy or (None, None)
    return {
        "kind": "image",
        "path": one.path,
        "row": one.number,
        "slice": one.slice_index,
        "stack": one.stack,
        **six,
        "peak_x": x,
        "peak_y": y,
        "dice": one.dice,
        "inside": None if one.place is None else one.place.inside,
        "error": one.error or None,
        "mask_error": one.mask_error or None,
    }


@contextmanager
def reading_bar(size: int, counted: str = "pictures") -> Iterator[Callable[[int], None]]:
    """On stderr: standard output may be read by a program."""
    columns = (TextColumn("Reading"), BarColumn(), MofNCompleteColumn(), _Rate(), TimeRemainingColumn())
    with Progress(*columns, console=Console(file=sys.stderr)) as progress:
        bar = progress.add_task("read", total=size, counted=counted)
        yield lambda more: progress.advance(bar, more)


def _refuse_bad_place(html: Path) -> None:
    """Before anything is read: a run takes minutes."""
    if html.is_dir():
        raise CannotStart(f"{html} is a folder. Name the file that the report shall be written to.")
    try:
        html.touch(mode=0o600)  # it may show patients
    except OSError as error:
        raise CannotStart(f"{html} cannot be written: {error.strerror}. Name another file.") from None
