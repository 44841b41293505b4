"""`python build_engine.py`: an engine made ready for an NVIDIA card, proven equal to its FP32 source before it may serve.

Also `python -m appliance.building.command`. The exit codes stand in its help.
"""

import shutil
import sys
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, NoReturn

import click

from appliance.building.foreign import ProgramDied, ask_build, ask_facts
from appliance.building.screen import Screen
from appliance.core.errors import CannotStart, Fault
from appliance.inference.loading import load_engine
from appliance.inference.manifest import EngineFiles
from appliance.inference.plan_files import (
    ALONE,
    GATES,
    IN_BATCHES,
    ON_PROCESSOR,
    PRECISIONS,
    PlanRefused,
    key_of,
    read_plan,
)
from appliance.settings import EngineSettings, read_settings

STANDS: Final = 0
FAULT: Final = 1
MISUSED: Final = 2  # click's own
NO_FP16: Final = 3
NO_CARD: Final = 4
NOT_BUILT: Final = 5
BUILD_RUNS: Final = 6
ENGINE_REFUSED: Final = 7

DEFAULT_CONFIG: Final = Path("/etc/bleedwatch/bleedwatch.toml")
_BESIDE: Final = Path(__file__).resolve().parents[2] / "engines" / "head-ct"
_SHIPPED: Final = _BESIDE if _BESIDE.is_dir() else Path(sys.prefix) / "share" / "bleedwatch" / "engines" / "head-ct"
_BUILD_MOST_S: Final = 3600.0
_STAGES: Final = {"building": "TensorRT tries kernels on the card", "proving": "asking the new plan"}
_NEXT: Final = {
    "no-device": "A plan belongs to its card: run the same command on the box that has it.",
    "not-installed": "Install both for that interpreter, or name the one that has them: --python",
}
_HELP: Final = """Build the TensorRT plan of the engine in ENGINE for the NVIDIA card of this machine.

First, on the processor: the network is converted (fp16), and a parity gate holds it against the FP32 engine on the
golden pictures and on hundreds of invented slices. Then, on the card: the plan is built, has to pass the same gate, and
only then takes the place of the old one. Run it once after the installation, and after each change of engine, card,
driver or TensorRT. Without a card only the first part runs.

ENGINE and what is not given come from the settings (--config), if there are any.

\b
Exit codes:
  0  a plan that fits stands in the plans folder (new, or the one that was there)
  1  something failed on this side
  2  an option or the settings are wrong
  3  the parity gate refuses FP16: nothing was built; --precision fp32 is offered
  4  no card or no TensorRT here: the first part has passed, the plan must be built
     on the box with the card
  5  TensorRT could not build the plan, or the plan failed the gate: the old one stays
  6  another build is running
  7  the engine folder does not hold an engine that may serve
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the person asked for, whole."""

    engine: Path
    plans: Path
    python: Path
    precision: str
    max_batch: int
    workspace_mib: int
    force: bool
    keep: Path | None


@click.command(help=_HELP, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.argument("engine", required=False, type=click.Path(path_type=Path))
@click.option("--precision", type=click.Choice(PRECISIONS), default=None, help="fp16 unless the settings say fp32.")
@click.option("--max-batch", type=click.IntRange(1, 64), default=None, help="Most slices at once; 8 by default.")
@click.option("--workspace-mib", type=click.IntRange(16, 65536), default=256, show_default=True,
              help="Memory of the card that a layer may use while it runs.")  # fmt: skip
@click.option("--python", type=click.Path(path_type=Path), default=None,
              help="The interpreter that has tensorrt and pycuda; by default this one.")  # fmt: skip
@click.option("--plans", type=click.Path(path_type=Path), default=None, help="Where plans lie; else ENGINE/plans.")
@click.option("--job", "keep", type=click.Path(path_type=Path), default=None,
              help="Keep graph and FP32 answers in this folder, for a box that has the card.")  # fmt: skip
@click.option("--force", is_flag=True, help="Build even where a plan that fits is there.")
@click.option("--config", type=click.Path(path_type=Path), default=None, envvar="BLEEDWATCH_CONFIG",
              help=f"The settings file; {DEFAULT_CONFIG} where it is there.")  # fmt: skip
def main(
    engine: Path | None,
    precision: str | None,
    max_batch: int | None,
    workspace_mib: int,
    python: Path | None,
    plans: Path | None,
    keep: Path | None,
    force: bool,
    config: Path | None,
) -> None:
    """See `_HELP`."""
    try:
        settings = _settings(config)
    except CannotStart as error:
        _end(MISUSED, str(error))
    asked = Asked(
        engine=engine or settings.folder,
        plans=plans or (settings.plans_folder if engine in (None, settings.folder) else engine / "plans"),
        python=python or settings.interpreter,
        precision=precision or settings.precision,
        max_batch=max_batch or settings.max_batch,
        workspace_mib=workspace_mib,
        force=force,
        keep=keep,
    )
    if shutil.which(asked.python) is None:
        _end(MISUSED, f"There is no interpreter {asked.python}. Name the one that has tensorrt and pycuda: --python")
    screen = Screen()
    try:
        proven = load_engine(asked.engine)
    except Fault as error:
        _end(ENGINE_REFUSED, error.message)
    proven.backend.close()
    files = proven.files
    with screen.bar():
        screen.tell("asking the card", 0, 0)  # one that has failed may take its time
        card = _ask_card(asked)
    if card["status"] == "facts" and not asked.force and _stands(asked, files, card["facts"]):
        screen.say(
            f"A plan for this engine, {card['facts']['name']} and TensorRT {card['facts']['tensorrt']} is there."
        )
        _end(STANDS, "Nothing to do. --force builds it anew.")
    if asked.keep is not None:
        try:
            asked.keep.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            _end(MISUSED, f"{asked.keep} cannot be made ({error.strerror}). Name another folder: --job")
        _build(asked, files, card, asked.keep, screen)
    with TemporaryDirectory(prefix="bleedwatch-build-") as folder:
        _build(asked, files, card, Path(folder), screen)


def _build(asked: Asked, files: EngineFiles, card: dict[str, Any], folder: Path, screen: Screen) -> NoReturn:
    with screen.bar():
        parity = _prepare(asked, files, folder, screen)
    screen.say(said_of(parity[ON_PROCESSOR], GATES[ON_PROCESSOR]))
    if card["status"] != "facts":
        screen.say(f"No plan was built: {card['why']}.")
        if asked.keep is not None:
            screen.say(f"{folder} holds what the box with the card needs.")
        _end(NO_CARD, _NEXT[card["status"]])
    facts = card["facts"]
    screen.say(f"{facts['name']}, TensorRT {facts['tensorrt']}: building for batches of 1 to {asked.max_batch}.")
    with screen.bar():
        ended = _on_the_card(asked, folder, screen)
    _tell_end(ended, screen)


def _prepare(asked: Asked, files: EngineFiles, folder: Path, screen: Screen) -> dict[str, Any]:
    """Graphs, gate and job. The reports."""
    try:
        from appliance.building.cpu_gate import GateBroken
        from appliance.building.graphs import GraphRefused
        from appliance.building.job import write_job
        from appliance.building.steps import GateFailed, Wish, prepare
    except ModuleNotFoundError as error:
        said = "Install what builds need: make build-setup, or on a box: make install EXTRAS=build"
        _end(FAULT, f"{error.name} is not installed for {sys.executable}. {said}")
    wish = Wish(precision=asked.precision, max_batch=asked.max_batch, workspace_mib=asked.workspace_mib)
    try:
        job = prepare(files, wish, screen.tell)
        screen.tell("keeping the FP32 answers", 0, 0)
        write_job(folder, job)
    except GateFailed as error:
        for why in error.report["why"]:
            click.echo(f"  {why}")
        if asked.precision == "fp16":
            _end(NO_FP16, "This engine may not run in FP16: nothing was built. FP32 is offered: --precision fp32")
        _end(FAULT, "The graph for the card does not answer as the engine does. Ask the model's owner.")
    except GateBroken as error:
        _end(FAULT, f"Nothing was built: {error}. No engine may be judged by such a gate. Tell who made this version")
    except (GraphRefused, Fault) as error:
        _end(ENGINE_REFUSED, f"This engine cannot be made ready for a card: {error}")
    except OSError as error:
        _end(FAULT, f"{folder} cannot be written: {error.strerror}")
    return dict(job.order.parity)


def _on_the_card(asked: Asked, folder: Path, screen: Screen) -> dict[str, Any]:
    def stage(name: str) -> None:
        screen.tell(_STAGES.get(name, name), 0, 0)

    try:
        return ask_build(asked.python, folder, asked.plans, force=asked.force, stage=stage, most_s=_BUILD_MOST_S)
    except ProgramDied as error:
        return {"status": "cannot-build", "why": str(error)}


def _tell_end(ended: dict[str, Any], screen: Screen) -> NoReturn:
    status, why = ended["status"], ended["why"]
    if status == "built":
        for gate in (ALONE, IN_BATCHES):
            screen.say(said_of(ended["parity"][gate], GATES[gate]))
        _end(STANDS, f"The plan stands, built in {ended['build_s']:.0f} s: {ended['sidecar']}")
    if status == "fits":
        _end(STANDS, "A plan that fits was put there meanwhile.")
    if status == "running":
        _end(BUILD_RUNS, why)
    if status in ("cannot-build", "gate-failed"):
        _end(NOT_BUILT, f"No new plan: {why}. A plan that was there stays.")
    if status in _NEXT:
        _end(NO_CARD, f"No plan was built: {why}. {_NEXT[status]}")
    _end(FAULT, f"No new plan: {why}")


def said_of(report: dict[str, Any], where: str) -> str:
    """The figures of one gate, in one line."""
    inside = f"; values inside reach {report['activation']:.3g}" if "activation" in report else ""
    return (
        f"Parity {where}, {report['slices']} slices, {report['exams']} exams: a logit at most {report['logit']:.2g} off, "
        f"a slice {report['slice_p']:.2g}, an exam {report['exam_p']:.2g} (its logit {report['exam_logit']:.2g}), "
        f"flips {len(report['flips'])}, heat maps agree by {report['heat_dice']:.5f}{inside}"
    )


def _settings(config: Path | None) -> EngineSettings:
    if config is None and not DEFAULT_CONFIG.exists():
        return EngineSettings(folder=_SHIPPED)
    return read_settings(config or DEFAULT_CONFIG).engine


def _ask_card(asked: Asked) -> dict[str, Any]:
    try:
        said = ask_facts(asked.python)
    except ProgramDied as error:
        said = {"status": "fault", "why": str(error)}
    if said["status"] != "fault":
        return said
    return {"status": "not-installed", "why": f"{asked.python} does not say what it can build for. {said['why']}"}


def _stands(asked: Asked, files: EngineFiles, facts: dict[str, Any]) -> bool:
    wanted = key_of(
        engine_sha256=files.card.sha256,
        onnx_sha256=sha256(files.model).hexdigest(),
        precision=asked.precision,
        max_batch=asked.max_batch,
        device=facts,
    )
    try:
        read_plan(asked.plans, wanted)
    except PlanRefused:
        return False
    return True


def _end(code: int, words: str) -> NoReturn:
    click.echo(words, err=code not in (STANDS, NO_CARD))
    sys.exit(code)


if __name__ == "__main__":
    main()
