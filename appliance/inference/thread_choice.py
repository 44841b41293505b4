"""Which settings of ONNX Runtime serve best on this machine, compared by ratio within one run.

python -m appliance.inference.thread_choice engines/head-ct

Slices come with a pause between them, as a scanner sends them: what a worker thread burns while it waits counts too.
"""

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from time import perf_counter, process_time, sleep
from typing import Final

import click
import numpy as np

from appliance.inference.manifest import EngineFiles, read_engine
from appliance.inference.onnxruntime_backend import session_options
from appliance.inference.runtime import ort

_WARM_UP: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One way to run the engine."""

    threads: int
    spinning: bool = False
    arena: bool = True
    denormals_as_zero: bool = False

    @property
    def said(self) -> str:
        """In words."""
        parts = [f"{self.threads} thread{'s' * (self.threads > 1)}", "spinning" if self.spinning else "no spinning"]
        parts += ["no arena"] * (not self.arena) + ["denormals as zero"] * self.denormals_as_zero
        return ", ".join(parts)


BASE: Final = Setting(threads=2)
SETTINGS: Final = (
    BASE,
    Setting(threads=2, spinning=True),
    Setting(threads=1),
    Setting(threads=1, spinning=True),
    Setting(threads=2, arena=False),
    Setting(threads=2, denormals_as_zero=True),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """Some runs of one setting in a row: least and median wall time of a slice, mean CPU time with the pause in it."""

    least_ms: float
    wall_ms: float
    cpu_ms: float


def compare(
    files: EngineFiles, *, rounds: int, runs: int, pause_s: float, random: np.random.Generator, done: Callable[[], None]
) -> dict[Setting, list[Block]]:
    """Blocks of each setting, one a round, in a new random order each round: the machine drifts more than they differ."""
    blocks: dict[Setting, list[Block]] = {setting: [] for setting in SETTINGS}
    for _ in range(rounds):
        for index in random.permutation(len(SETTINGS)):
            blocks[SETTINGS[index]].append(_in_its_own_thread(files, SETTINGS[index], runs, pause_s))
            done()
    return blocks


def _in_its_own_thread(files: EngineFiles, setting: Setting, runs: int, pause_s: float) -> Block:
    """Denormals are switched for a whole thread, so each block gets a new one."""
    measured: list[Block] = []
    thread = Thread(target=lambda: measured.append(_block(files, setting, runs, pause_s)))
    thread.start()
    thread.join()
    return measured[0]


def _block(files: EngineFiles, setting: Setting, runs: int, pause_s: float) -> Block:
    options = session_options(setting.threads, spinning=setting.spinning, arena=setting.arena)
    if setting.denormals_as_zero:
        options.add_session_config_entry("session.set_denormal_as_zero", "1")
    session = ort.InferenceSession(files.model, options, providers=["CPUExecutionProvider"])
    spec = files.card.input
    image = np.random.default_rng(0).random((1, len(spec.windows), spec.size, spec.size), dtype=np.float32)
    for _ in range(_WARM_UP):
        session.run(None, {spec.name: image})
    wall_ms: list[float] = []
    began_s = process_time()
    for _ in range(runs):
        start_s = perf_counter()
        session.run(None, {spec.name: image})
        wall_ms.append((perf_counter() - start_s) * 1000)
        sleep(pause_s)
    return Block(
        least_ms=min(wall_ms), wall_ms=float(np.median(wall_ms)), cpu_ms=(process_time() - began_s) * 1000 / runs
    )


def figures(blocks: dict[Setting, list[Block]]) -> list[dict[str, str | float]]:
    """Of each setting the median block, and its ratio to the base setting of the same round: quartiles."""
    rows: list[dict[str, str | float]] = []
    for setting, own in blocks.items():
        wall = np.array([one.wall_ms / base.wall_ms for one, base in zip(own, blocks[BASE], strict=True)])
        cpu = np.array([one.cpu_ms / base.cpu_ms for one, base in zip(own, blocks[BASE], strict=True)])
        row: dict[str, str | float] = {
            "setting": setting.said,
            "wall_ms": float(np.median([one.wall_ms for one in own])),
        }
        row["least_ms"] = min(one.least_ms for one in own)
        row["cpu_ms"] = float(np.median([one.cpu_ms for one in own]))
        for name, ratios in (("wall_ratio", wall), ("cpu_ratio", cpu)):
            for quartile, value in zip(("q1", "median", "q3"), np.quantile(ratios, (0.25, 0.5, 0.75)), strict=True):
                row[f"{name}_{quartile}"] = float(value)
        rows.append(row)
    return rows


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--rounds", default=20, show_default=True)
@click.option("--runs", default=20, show_default=True, help="Slices of each setting in a round.")
@click.option("--pause-ms", default=25.0, show_default=True, help="Between two slices.")
def main(folder: Path, rounds: int, runs: int, pause_ms: float) -> None:
    """Compare settings with the engine in FOLDER and print the figures as JSON."""
    files = read_engine(folder)
    with click.progressbar(length=rounds * len(SETTINGS), label="blocks", file=sys.stderr) as bar:
        blocks = compare(
            files,
            rounds=rounds,
            runs=runs,
            pause_s=pause_ms / 1000,
            random=np.random.default_rng(1),
            done=lambda: bar.update(1),
        )
    rows = [{key: round(v, 3) if isinstance(v, float) else v for key, v in row.items()} for row in figures(blocks)]
    click.echo(json.dumps({"schema_version": 1, "onnxruntime": ort.__version__, "settings": rows}, indent=2))


if __name__ == "__main__":
    main()
