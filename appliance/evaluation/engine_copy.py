"""A new engine folder beside the old one: the same network, another calibration. The old folder is only read.

The manifest is edited line by line, so that everything else in it stays as its maker wrote it; then it is read again and
held against the old one, value by value.
"""

import json
import os
import re
import tempfile
import tomllib
from collections.abc import Mapping
from copy import deepcopy
from datetime import date
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from appliance.core.errors import CannotStart, Fault
from appliance.evaluation.calibration import Calibration
from appliance.evaluation.recalibration import Recalibration
from appliance.inference.loading import load_engine
from appliance.inference.manifest import MANIFEST
from appliance.inference.plan_files import PRECISIONS, plan_stem, write_durably

RECORD: Final = "calibration_record"
_SUFFIX: Final = "+calibrated."
_HEADER: Final = re.compile(r"^\s*\[\[?\s*([A-Za-z0-9_.\-]+)\s*\]\]?\s*(#.*)?$")
_ENTRY: Final = re.compile(r"^\s*([A-Za-z0-9_\-]+)\s*=")


def refuse_bad_place(engine: Path, out: Path) -> None:
    """Before anything is read: a run takes minutes. CannotStart in words."""
    if out.exists() or out.is_symlink():
        raise CannotStart(f"{out} is there already. Name a folder that is not: no engine is changed where it lies.")
    if not out.absolute().parent.is_dir():
        raise CannotStart(f"{out.absolute().parent} is no folder. Make it, or name another place.")
    if not os.access(out.absolute().parent, os.W_OK):
        raise CannotStart(f"{out.absolute().parent} cannot be written to. Name another place.")
    if engine.resolve() in out.absolute().parent.resolve().joinpath(out.name).parents:
        raise CannotStart(f"{out} lies inside the engine folder. Name a place outside of it.")


def write_engine(engine: Path, out: Path, made: Recalibration, record: Mapping[str, Any], day: date) -> None:
    """Copies the files of `engine` to `out` with the new numbers and one more record, proven like any engine.

    The folder gets its name when it is whole. Plans of TensorRT stay behind: they are bound to the old manifest.
    CannotStart in words where the manifest cannot be edited, or the disk does not take it.
    """
    try:
        with tempfile.TemporaryDirectory(dir=out.absolute().parent, prefix=f".{out.name}-") as unfinished:
            whole = Path(unfinished) / out.name
            whole.mkdir()
            for path in _files(engine):
                write_durably(whole / path.name, path.read_bytes())
            text = (engine / MANIFEST).read_text(encoding="utf-8")
            write_durably(whole / MANIFEST, edited(text, made.after, record, day).encode())
            load_engine(whole).backend.close()
            refuse_bad_place(engine, out)
            whole.rename(out)
    except OSError as error:
        raise CannotStart(f"{out} cannot be written: {error}.") from None
    except Fault as fault:
        raise CannotStart(f"The new engine would not serve: {fault.message}.") from None


def _files(engine: Path) -> list[Path]:
    stems = tuple(plan_stem(manifest_sha256(engine), precision) for precision in PRECISIONS)
    return [path for path in sorted(engine.iterdir()) if path.is_file() and not path.name.startswith((".", *stems))]


def edited(text: str, after: Calibration, record: Mapping[str, Any], day: date) -> str:
    """The manifest's text with these numbers, another version and one more record at its end."""
    old = tomllib.loads(text)
    changes: dict[tuple[str, str], Any] = {
        ("", "version"): f"{str(old['version']).partition(_SUFFIX)[0]}{_SUFFIX}{day.isoformat()}",
        ("calibration", "scale"): list(after.scale),
        ("calibration", "bias"): list(after.bias),
        ("exam_rule", "sharpness"): after.sharpness,
        ("points", "critical"): after.critical,
        ("points", "review"): after.review,
        ("points", "early_pair"): after.early_pair,
        ("points", "early_single"): after.early_single,
    }
    new = _with(text, changes) + _record_text(record)
    if tomllib.loads(new) != _wanted(old, changes, record):
        raise CannotStart(f"{MANIFEST} is not written one value a line, as `bleedwatch train` writes it: not edited.")
    return new


def _with(text: str, changes: Mapping[tuple[str, str], Any]) -> str:
    table = ""
    lines = []
    for line in text.splitlines():
        if header := _HEADER.match(line):
            table = header[1]
        entry = _ENTRY.match(line)
        value = changes.get((table, entry[1])) if entry else None
        lines.append(line if entry is None or value is None else f"{entry[1]} = {_toml(value)}")
    return "\n".join(lines) + "\n"


def _record_text(record: Mapping[str, Any]) -> str:
    """One table of the list of records. Each is a link of a chain: `engine` is the manifest that it changed."""
    return "\n".join(["", f"[[{RECORD}]]", *(f"{name} = {_toml(value)}" for name, value in record.items()), ""])


def _wanted(old: Mapping[str, Any], changes: Mapping[tuple[str, str], Any], record: Mapping[str, Any]) -> Any:
    wanted = deepcopy(dict(old))
    for (table, name), value in changes.items():
        (wanted[table] if table else wanted)[name] = value
    wanted[RECORD] = [*wanted.get(RECORD, []), dict(record)]
    return wanted


def _toml(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{name} = {_toml(one)}" for name, one in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_toml(one) for one in value) + "]"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str | bool) else repr(value)


def manifest_sha256(engine: Path) -> str:
    """What names the engine that was calibrated."""
    return sha256((engine / MANIFEST).read_bytes()).hexdigest()
