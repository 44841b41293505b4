"""What the programme for a graphics card needs from here, made where the product runs: a job for each precision.

    python -m appliance.bench.gpu_jobs engines/head-ct FOLDER

Graphs, the answers of the FP32 engine, and the work of one answer. The folder is whole in itself: carry it to the machine
with the card and give it to `gpu_programme` as --jobs. Needs the extra [build].
"""

import json
import sys
from pathlib import Path
from typing import Final

import click

from appliance.bench.work import NotCounted, work_of
from appliance.building.gate_set import SLICES_LEAST
from appliance.building.job import write_job
from appliance.building.steps import GateFailed, Wish, prepare
from appliance.core.errors import Fault
from appliance.inference.manifest import read_engine
from appliance.inference.plan_files import PRECISIONS

MAX_BATCH: Final = 8
WORK: Final = "work.json"


@click.command()
@click.argument("engine", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option("--max-batch", default=MAX_BATCH, show_default=True)
@click.option(
    "--slices", default=SLICES_LEAST, show_default=True, help="Of invented exams that are compared, at least."
)
def main(engine: Path, folder: Path, max_batch: int, slices: int) -> None:
    """Make the jobs for the engine in ENGINE and put them into FOLDER."""
    try:
        files = read_engine(engine)
    except Fault as fault:
        raise click.ClickException(fault.message) from None
    folder.mkdir(parents=True, exist_ok=True)
    for precision in PRECISIONS:
        wish = Wish(precision=precision, max_batch=max_batch)
        try:
            job = prepare(files, wish, _tell, slices_least=slices)
        except GateFailed as failed:
            click.echo(f"{precision} may not be built: {failed}", err=True)
            continue
        (folder / precision).mkdir(exist_ok=True)
        write_job(folder / precision, job)
        click.echo(f"{precision}: {len(job.images)} slices, in {folder / precision}", err=True)
    try:
        (folder / WORK).write_text(json.dumps(work_of(files.model).as_dict()), encoding="utf-8")
    except NotCounted as why:
        click.echo(f"the work is not counted: {why}", err=True)


def _tell(said: str, done: int, of: int) -> None:
    if done == of:
        sys.stderr.write(f"  {said}: {of}\n")


if __name__ == "__main__":
    main()
