"""What happened at each step of a run, a JSON object a line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


class Log:
    """The log of a run, appended to step by step."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def add(self, **values: float) -> None:
        """Append a line."""
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({key: round(value, 6) for key, value in values.items()}) + "\n")

    def cut(self, step: int) -> None:
        """Take off what came after a checkpoint: it is done again. And the line that a power cut tore."""
        if self._path.exists():
            kept = [line for line in read_log(self._path) if line["step"] <= step]
            self._path.write_text("".join(f"{json.dumps(line)}\n" for line in kept), encoding="utf-8")


def read_log(path: Path) -> list[dict[str, Any]]:
    """The lines of a log, without those that are no whole ones."""
    found = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            found.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return [line for line in found if isinstance(line, dict)]
