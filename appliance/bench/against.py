"""Two documents of the benchmark compared, by ratio. What has become of a figure counts, not the figure."""

import json
from pathlib import Path
from typing import Any, Final

from appliance.bench.document import KIND, SCHEMA_VERSION
from appliance.bench.figures import ratio
from appliance.core.errors import CannotStart

SECTIONS: Final = ("engine_alone", "stages", "whole", "in_service", "cold_start")
COMPARED: Final = ("p50_ms", "p95_ms", "p99_ms")
_NEEDED: Final = ("machine", "versions", "engine", "made_at", "busy", *SECTIONS)


def read_document(path: Path) -> dict[str, Any]:
    """An earlier document. CannotStart in words for a file that is none."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CannotStart(f"{path} cannot be read: {error.strerror}. Name what an earlier --json printed.") from None
    except ValueError:
        raise CannotStart(f"{path} is no JSON document. Name what an earlier --json printed.") from None
    if not isinstance(found, dict) or found.get("kind") != KIND:
        raise CannotStart(f"{path} is no document of bleedwatch benchmark. Name what an earlier --json printed.")
    if found.get("schema_version") != SCHEMA_VERSION:
        said = f"{path} has schema_version {found.get('schema_version')!r:.20}, this Bleedwatch writes {SCHEMA_VERSION}"
        raise CannotStart(f"{said}. Measure anew with both versions.")
    lacking = [name for name in _NEEDED if name not in found]
    if lacking or not all(_is_rows(found[name]) for name in SECTIONS):
        what = f"lacks {', '.join(lacking)}" if lacking else "is damaged"
        raise CannotStart(f"{path} {what}: it is no whole document of bleedwatch benchmark.")
    return found


def _is_rows(value: object) -> bool:
    return isinstance(value, list) and all(
        isinstance(one, dict)
        and isinstance(one.get("id"), str)
        and all(isinstance(one.get(name), int | float) for name in COMPARED)
        for one in value
    )


def compare(document: dict[str, Any], earlier: dict[str, Any]) -> dict[str, Any]:
    """Each figure as so many times the earlier one, and what else is different: a ratio is of like with like."""
    ratios = []
    for section in SECTIONS:
        before = {one["id"]: one for one in earlier[section]}
        for one in document[section]:
            if (old := before.get(one["id"])) is not None:
                entry = {"id": one["id"], "said": one["said"], "section": section, "n": one["n"], "n_earlier": old["n"]}
                entry |= {name.removesuffix("_ms"): ratio(one, old, name) for name in COMPARED}
                ratios.append(entry)
    return {"made_at": str(earlier["made_at"]), "differs": _differences(document, earlier), "ratios": ratios}


def _differences(document: dict[str, Any], earlier: dict[str, Any]) -> list[str]:
    """What makes the two runs unlike, in words."""
    found = []
    for part, names in (("machine", ("processor", "cores", "file_system")), ("engine", ("sha256",))):
        for name in names:
            now, before = document[part].get(name), earlier[part].get(name)
            if now != before:
                found.append(f"{part}: {name} is {now}, it was {before}")
    for name, now in document["versions"].items():
        before = earlier["versions"].get(name)
        if now != before:
            found.append(f"version of {name} is {now}, it was {before or 'not known'}")
    if document.get("exam") != earlier.get("exam"):
        found.append("the exams that were sent have another number of slices")
    for run, said in ((document, "this run"), (earlier, "the earlier run")):
        if str(run["busy"].get("said", "")).startswith("BUSY"):
            found.append(f"the machine was busy at the start of {said}")
    return found
