"""How a run learned, thinned for the engine folder: a table of means over stretches of steps."""

from __future__ import annotations

from pathlib import Path

from appliance.training.log import read_log

MOST_ROWS = 400


def write_curves(log: Path, table: Path) -> None:
    """From a line a step (see `log`) to at most MOST_ROWS rows of step, loss, rate, and the loss on patients left out."""
    lines = read_log(log)
    steps = [line for line in lines if "loss" in line]
    looks = {line["step"]: line["left_out_loss"] for line in lines if "left_out_loss" in line}
    stretch = max(1, -(-len(steps) // MOST_ROWS))
    rows = ["step,loss,rate,left_out_loss"]
    for first in range(0, len(steps), stretch):
        part = steps[first : first + stretch]
        looked = [looks[line["step"]] for line in part if line["step"] in looks]
        loss = sum(line["loss"] for line in part) / len(part)
        rows.append(f"{part[-1]['step']},{loss:.4f},{part[-1]['rate']:.4f},{looked[-1] if looked else ''}")
    table.write_text("\n".join(rows) + "\n", encoding="utf-8")
