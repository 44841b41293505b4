"""The one command, thin: words to settings, and on to the room that does the work.

Rooms load when their command is called, so that no command needs what another one imports.
"""

import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import click

from appliance.core.errors import CannotStart, Fault
from appliance.settings import read_settings

FAILED = 1  # a fault that may pass
CANNOT_WORK = 2  # a restart would not cure it
DEFAULT_CONFIG = Path("/etc/bleedwatch/bleedwatch.toml")

Command = TypeVar("Command", bound=Callable[..., Any])


def with_config(command: Command) -> Command:
    """Adds --config to a command that cannot do without settings."""
    return click.option(
        "--config", "config", type=click.Path(path_type=Path), default=DEFAULT_CONFIG, show_default=True,
        envvar="BLEEDWATCH_CONFIG", help="The settings file. `bleedwatch init` writes one.",
    )(command)  # fmt: skip


def with_unseen(command: Command) -> Command:
    """Adds --unseen to a command that draws patients."""
    return click.option(
        "--unseen", type=click.Choice(["acquisition", "blood", "tissue"]), default=None, metavar="WHAT",
        help="acquisition, blood or tissue: unlike what training draws.",
    )(command)  # fmt: skip


def default_engine() -> Path:
    """The engine that comes with the product: beside the source, or where an installation puts it."""
    beside = Path(__file__).resolve().parents[1] / "engines" / "head-ct"
    return beside if beside.is_dir() else Path(sys.prefix) / "share" / "bleedwatch" / "engines" / "head-ct"


def named_places(_context: click.Context, _option: click.Parameter, said: tuple[str, ...]) -> dict[str, Path]:
    """NAME=PLACE, once for each name."""
    parts = [one.partition("=") for one in said]
    bad = [one for one, (name, _, place) in zip(said, parts, strict=True) if not (name and place)]
    names = [name for name, _, _ in parts]
    if bad or len(set(names)) < len(names):
        raise click.BadParameter(f"{bad[0]!r} is no NAME=PLACE" if bad else "a name stands there twice")
    return {name: Path(place) for name, _, place in parts}


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="bleedwatch")
def bleedwatch() -> None:
    """Finds bleeding in a head CT while the slices are still landing, and tells a person until they answer.

    Bleedwatch raises priority. It never lowers it. NO FINDING does not mean normal: every scan still needs its
    reader. Not a cleared medical device.
    """


# -- the appliance ------------------------------------------------------------------------------------


@bleedwatch.command()
@with_config
def run(config: Path) -> None:
    """Run the whole appliance: triage, courier and dashboard. Ctrl-C ends it."""
    from appliance.operations.run import run_all

    sys.exit(run_all(read_settings(config), config))


@bleedwatch.command()
@with_config
def triage(config: Path) -> None:
    """Run the program that reads what lands (under systemd; by hand use `run`)."""
    from appliance.triage.program import run as run_triage

    run_triage(read_settings(config))


@bleedwatch.command()
@with_config
def courier(config: Path) -> None:
    """Run the program that tells the gateway (under systemd; by hand use `run`)."""
    from appliance.operations.programs import run_courier

    run_courier(read_settings(config))


@bleedwatch.command()
@with_config
def dashboard(config: Path) -> None:
    """Run the program that shows the board (under systemd; by hand use `run`)."""
    from appliance.operations.programs import run_dashboard

    run_dashboard(read_settings(config))


@bleedwatch.command()
@click.option("--headless", is_flag=True, help="No person: check that the bleed is told, print JSON Lines, and end.")
@click.option("--seed", type=int, default=1_000_000, show_default=True, help="Which invented patients are scanned.")
@click.option("--rate", "rate_hz", type=float, default=10.0, show_default=True, help="Slices a second.")
@click.option("--port", type=int, default=None, help="Port of the board; by default any that is free.")
@click.option("--engine", type=click.Path(path_type=Path), default=None, help="Another engine folder.")
def demo(headless: bool, seed: int, rate_hz: float, port: int | None, engine: Path | None) -> None:
    """Show it: the whole appliance on a throw-away folder, with a simulated scanner and three invented patients.

    One bleeds, one does not, one must not be analysed. Nothing of it stays on the disk.
    """
    from appliance.operations.demo import run_demo

    sys.exit(run_demo(headless=headless, seed=seed, rate_hz=rate_hz, port=port, engine=engine or default_engine()))


# -- by hand ------------------------------------------------------------------------------------------


@bleedwatch.command()
@click.argument("series_dir", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--to", "inbox", required=True, type=click.Path(exists=True, file_okay=False, path_type=Path),
              help="The landing folder.")  # fmt: skip
@click.option("--rate", "rate_hz", type=float, default=5.0, show_default=True, help="Slices a second.")
@click.option("--order", type=click.Choice(["name", "shuffled"]), default="name", show_default=True)
@click.option("--way", type=click.Choice(["temp-rename", "in-place", "hard-link", "slow"]), default="temp-rename",
              show_default=True, help="How the scanner writes its files.")  # fmt: skip
@click.option("--seed", type=int, default=0, show_default=True, help="Of the shuffled order.")
def simulate(series_dir: Path, inbox: Path, rate_hz: float, order: str, way: str, seed: int) -> None:
    """Send the files of SERIES_DIR to a landing folder, one by one, the way a scanner writes them."""
    from appliance.operations.simulate import simulate as send

    send(series_dir, inbox, rate_hz=rate_hz, shuffled=order == "shuffled", way=way, seed=seed)


@bleedwatch.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--engine", type=click.Path(path_type=Path), default=None, help="Another engine folder.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
def score(paths: tuple[Path, ...], engine: Path | None, as_json: bool) -> None:
    """Read DICOM files or folders here and now, without the appliance. Nothing is stored, nobody is told."""
    from appliance.operations.score import run_score

    sys.exit(run_score(paths, engine or default_engine(), as_json=as_json))


@bleedwatch.command()
@click.option("--sheet", type=click.Path(dir_okay=False, path_type=Path), default=None, metavar="FILE.png",
              help="A picture: each patient's slices, and beneath them the same head without its bleed.")  # fmt: skip
@click.option("--dicom", type=click.Path(file_okay=False, path_type=Path), default=None, metavar="FOLDER",
              help="The patients as DICOM studies, with labels.csv for `evaluate --data`.")  # fmt: skip
@click.option("--data", type=click.Path(exists=True, path_type=Path), default=None, metavar="LABEL_MAPS",
              help="Heads to go by: a NIfTI file that names the tissue of every voxel (FreeSurfer, SynthSeg), or a folder "
              "of them. Without it heads are made up from formulas.")  # fmt: skip
@click.option("--seed", type=int, default=1_000_000, show_default=True,
              help="The first patient; the same number, the same one. No engine trains on those from 1000000 on.")  # fmt: skip
@click.option("--count", type=int, default=6, show_default=True, help="How many patients.")
@click.option("--hard", is_flag=True, help="As hard as real work: operated heads, metal, fractures, motion, old blood.")
@with_unseen
def phantom(**wished: Any) -> None:
    """Draw invented patients with bleeds, to look at or to try the appliance with. Nobody is shown in them."""
    from appliance.operations.phantom import run_phantom

    sys.exit(run_phantom(**wished, say=click.echo))


@bleedwatch.command()
@with_config
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
def status(config: Path, as_json: bool) -> None:
    """What the box is doing, in one screen."""
    from appliance.operations.status import run_status

    sys.exit(run_status(read_settings(config), as_json=as_json))


@bleedwatch.command()
@with_config
@click.option("--json", "as_json", is_flag=True, help="JSON Lines: one alert a line, with all that happened to it.")
@click.option("--since", type=click.DateTime(["%Y-%m-%d"]), default=None, metavar="DATE",
              help="First raised on this day (2031-05-14) or later.")  # fmt: skip
@click.option("--open", "open_only", is_flag=True, help="Only what nobody has answered, or is not mended.")
@click.option(
    "--with-uids", is_flag=True, help="Name the UIDs of studies, series and key slices, to find the pictures."
)
@click.option("--with-identity", is_flag=True, help="Name the patients too. Mind where the output goes.")
@click.option("--without-alert", is_flag=True,
              help="Instead, the studies without an alert that somebody has judged: missed bleeds among them.")  # fmt: skip
def alerts(
    config: Path, as_json: bool, since: datetime | None, open_only: bool, with_uids: bool, with_identity: bool,
    without_alert: bool,
) -> None:  # fmt: skip
    """List the alerts: who was told, who answered, and how they were judged. No patient is named unless asked for."""
    from appliance.operations.alerts import run_alerts, run_judged
    from appliance.records.alert_export import Depth

    depth = Depth.IDENTITY if with_identity else Depth.UIDS if with_uids else Depth.HASHES
    day = None if since is None else since.date()
    settings = read_settings(config)
    if without_alert:
        sys.exit(run_judged(settings, as_json=as_json, since=day, depth=depth))
    sys.exit(run_alerts(settings, as_json=as_json, since=day, open_only=open_only, depth=depth))


@bleedwatch.command()
@with_config
@click.argument("study")
@click.option("--as", "judged", type=click.Choice(["bleed", "no-bleed", "unclear"]), required=True,
              help="What the scan shows. `bleed`: the box has missed it.")  # fmt: skip
@click.option("--by", required=True, help="Who has looked at it.")
def judge(config: Path, study: str, judged: str, by: str) -> None:
    """Keep what a person says of a STUDY that no alert was raised for.

    STUDY is its number, as at the end of the address of its page (/study/12), or its Study Instance UID. May be said
    again: the last word counts, all stay on record.
    """
    from appliance.operations.judge import run_judge
    from appliance.processes.clock import now

    sys.exit(run_judge(read_settings(config), study, judged=judged, by=by, clock=now, say=click.echo))


@bleedwatch.command()
@click.option("--config", "config", type=click.Path(path_type=Path), default=None, envvar="BLEEDWATCH_CONFIG",
              help="The settings file. Without one only machine, engine and backends are checked.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
def doctor(config: Path | None, as_json: bool) -> None:
    """Say what is wrong and what to do, one line each. Exit code 0: fine, 1: works with faults, 2: cannot work."""
    from appliance.operations.doctor import run_doctor

    if config is None and DEFAULT_CONFIG.exists():
        config = DEFAULT_CONFIG
    sys.exit(run_doctor(config, default_engine(), as_json=as_json))


@bleedwatch.command()
@click.argument("config", type=click.Path(path_type=Path), default=DEFAULT_CONFIG)
@click.option("--root", type=click.Path(path_type=Path), default=Path("/var/lib/bleedwatch"), show_default=True,
              help="Where ledger and pixels shall stand.")  # fmt: skip
@click.option("--inbox", type=click.Path(path_type=Path), default=Path("/var/lib/bleedwatch/inbox"), show_default=True,
              help="Where the scanner writes.")  # fmt: skip
def init(config: Path, root: Path, inbox: Path) -> None:
    """Write a commented settings file, by default to /etc/bleedwatch/bleedwatch.toml."""
    from appliance.operations.init import write_first_settings

    click.echo(write_first_settings(config, root=root, inbox=inbox, engine=default_engine()))


@bleedwatch.command()
@click.option("--quick", is_flag=True, help="Ends within three minutes; fewer values for each figure.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
@click.option("--html", type=click.Path(path_type=Path), default=None, metavar="FILE", help="A report with drawings.")
@click.option("--against", type=click.Path(path_type=Path), default=None, metavar="FILE",
              help="Compare with what an earlier --json printed, by ratio.")  # fmt: skip
@click.option("--engine", type=click.Path(path_type=Path), default=None, help="Another engine folder.")
@click.option("--plans", type=click.Path(path_type=Path), default=None, metavar="FOLDER",
              help="Where TensorRT plans lie, if not in the engine's folder.")  # fmt: skip
@click.option("--python", type=click.Path(path_type=Path), default=None, metavar="FILE",
              help="The interpreter that has TensorRT, if not this one.")  # fmt: skip
def benchmark(engine: Path | None, **wished: Any) -> None:
    """Measure how fast this machine is: the engine, each stage, the whole appliance under a simulated scanner.

    It works on a throw-away folder (TMPDIR chooses the disk) and judges nothing: the exit code is 0 whatever comes out.
    """
    from appliance.bench.command import Wish, run_benchmark

    sys.exit(run_benchmark(Wish(engine=engine or default_engine(), **wished)))


@bleedwatch.command()
@click.argument("engine", required=False, default=None, metavar="[ENGINE_DIR]", type=click.Path(path_type=Path))
@click.option("--manifest", type=click.Path(path_type=Path), default=None, metavar="FILE",
              help="A table of labelled pictures, rows.csv: see docs/schemas/evaluate.md.")  # fmt: skip
@click.option("--data", type=click.Path(exists=True, file_okay=False, path_type=Path), default=None, metavar="FOLDER",
              help="DICOM studies, with labels.csv in it.")  # fmt: skip
@click.option("--phantoms", type=int, default=None, metavar="COUNT",
              help="Draw so many invented patients that no engine trains on, each with its bleed and without. One "
              "takes seconds.")  # fmt: skip
@click.option("--label-maps", type=click.Path(exists=True, path_type=Path), default=None, metavar="LABEL_MAPS",
              help="Their heads: as --data of `bleedwatch phantom`. Without it heads are made up from formulas.")  # fmt: skip
@click.option("--hard", is_flag=True, help="As hard as real work: operated heads, metal, fractures, motion, old blood.")
@with_unseen
@click.option("--bleed-free", is_flag=True, help="Each without its bleed only: what is raised is a false alarm.")
@click.option("--seed", type=int, default=None, metavar="FIRST",
              help="The first patient, from 1000000 (taken without it) to 1999999. The same number, the same patient.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="JSON Lines: every picture, every exam, then the summary.")
@click.option("--html", type=click.Path(path_type=Path), default=None, metavar="FILE",
              help="A report with plots and the worst failures. It shows patients.")  # fmt: skip
def evaluate(engine: Path | None, **wished: Any) -> None:
    """Hold an engine against labelled pictures or exams, or against drawn patients, read by the code that reads live.

    It judges nothing: the exit code is 0 whatever comes out. Nothing is stored but the report that was asked for.
    """
    from appliance.evaluation.command import Wish, run_evaluate

    sys.exit(run_evaluate(Wish(engine=engine or default_engine(), **wished)))


@bleedwatch.command()
@click.argument("engine", metavar="ENGINE_DIR", type=click.Path(path_type=Path))
@click.option("--manifest", type=click.Path(path_type=Path), default=None, metavar="FILE",
              help="A table of labelled pictures, rows.csv: see docs/schemas/evaluate.md.")  # fmt: skip
@click.option("--data", type=click.Path(exists=True, file_okay=False, path_type=Path), default=None, metavar="FOLDER",
              help="DICOM studies, with labels.csv in it.")  # fmt: skip
@click.option("--out", required=True, type=click.Path(path_type=Path), metavar="NEW_ENGINE_DIR",
              help="The engine folder to write. It must not be there yet.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
def calibrate(**wished: Any) -> None:
    """Set an engine's points by your own labelled studies, and say what is proven of them. Writes a new engine folder.

    Points move towards quiet alone. 149 exams without a bleed and no false alarm prove 98 % specificity, 299 prove 99 %.
    """
    from appliance.evaluation.calibrate_command import Wish, run_calibrate

    sys.exit(run_calibrate(Wish(day=datetime.now(UTC).date(), **wished)))


@bleedwatch.command("test-alarm")
@with_config
@click.option("--by", default="the command line", show_default=True, help="Who starts it, as every screen will say.")
@click.option("--wait", is_flag=True, help="Wait for an answer. Exit code 0: a person has answered, 1: nobody.")
def test_alarm(config: Path, by: str, wait: bool) -> None:
    """Start a test alarm, marked TEST on every screen and channel. A timer may do so each day."""
    from appliance.operations.test_alarm import run_test_alarm
    from appliance.processes.clock import now

    sys.exit(run_test_alarm(read_settings(config), by=by, wait=wait, clock=now, say=click.echo))


@bleedwatch.group()
def db() -> None:
    """The ledger."""


@db.command()
@with_config
def upgrade(config: Path) -> None:
    """Bring the ledger to the form that this version needs, or make a new one. Done by the installer."""
    from appliance.operations.database import upgrade_database

    click.echo(upgrade_database(read_settings(config)))


@db.command()
@with_config
def check(config: Path) -> None:
    """Check the ledger: structure, references, and that every status follows from its events."""
    from appliance.operations.database import check_database

    sys.exit(check_database(read_settings(config)))


@bleedwatch.command()
@click.argument("recipe", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--out", required=True, type=click.Path(path_type=Path), metavar="ENGINE_DIR",
              help="The engine folder to write.")  # fmt: skip
@click.option("--from", "start", type=click.Path(path_type=Path), default=None, metavar="ENGINE_DIR",
              help="Train this engine further.")  # fmt: skip
@click.option("--beside", type=click.Path(path_type=Path), default=None, metavar="ENGINE_DIR",
              help="Let this engine's network answer too whether there is blood, for a quarter. It learns nothing more.")  # fmt: skip
@click.option("--data", "places", multiple=True, metavar="NAME=PLACE", callback=named_places,
              help="Where a source of the recipe lies; once for each.")  # fmt: skip
@click.option("--work", type=click.Path(path_type=Path), default=None, metavar="FOLDER",
              help="Cache and checkpoints, by default ENGINE_DIR/work. It shows patients: pass it on with no engine.")  # fmt: skip
@click.option("--version", default="0.1.0", show_default=True, help="What the engine calls itself.")
def train(**wished: Any) -> None:
    """Train an engine by a RECIPE, a TOML file: docs/schemas/recipe.md. Needs the training extra: make train-setup.

    The same call made again goes on where it was cut off.
    """
    try:
        from appliance.training.command import Wish
        from appliance.training.command import train as train_engine
    except ModuleNotFoundError as missing:
        raise CannotStart(f"{missing.name} is not installed. Training needs it: make train-setup") from None

    train_engine(Wish(**wished))


def main() -> None:
    """The entry point. What a person can mend is said in words, without a trace."""
    try:
        bleedwatch(standalone_mode=True)
    except CannotStart as error:
        click.echo(str(error), err=True)
        sys.exit(CANNOT_WORK)
    except Fault as fault:
        # It may pass: whoever watches over this program starts it again.
        click.echo(fault.message, err=True)
        sys.exit(FAILED)


if __name__ == "__main__":
    main()
