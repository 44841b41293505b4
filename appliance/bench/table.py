"""The figures as tables for a terminal."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from rich.console import Console
from rich.table import Table

COUNTED_FROM: Final = (
    "The whole appliance: a slice counts from the instant at which it was due, evidence from that of the slice which "
    "completes it; all others (scanner, onlooker, browser) work on the same cores."
)
ENOUGH_FOR_P99: Final = 1000
ENOUGH_FOR_P95: Final = 20
_NUMBERS: Final = ("n", "p50", "p95", "p99", "max")


def show(document: Mapping[str, Any], console: Console) -> None:
    """Everything that was measured, then what was not."""
    _say(console, machine_line(document))
    _say(console, f"The machine was {document['busy']['said']}")
    _say(console, "Milliseconds. In brackets: percentiles of too few values to rely on.")
    _engine(document, console)
    _plain(console, "Stages of a slice, each by itself", document["stages"])
    _say(console, f"{COUNTED_FROM} The engine ran on {document['served_by'] or 'nothing that says its name'}.")
    for condition in dict.fromkeys(one["condition"] for one in document["whole"]):
        rows = [one for one in document["whole"] if one["condition"] == condition]
        _plain(console, f"The whole appliance: {condition}", rows)
    _plain(console, "Start of the programs", document["cold_start"])
    _idle(document, console)
    if document.get("against"):
        _against(document["against"], console)
    for one in document["not_measured"]:
        _say(console, f"NOT MEASURED: {one['what']}: {one['why']}")


def machine_line(document: Mapping[str, Any]) -> str:
    """The machine, the versions and the engine in one sentence."""
    machine, versions, engine = document["machine"], document["versions"], document["engine"]
    virtual = "virtual cores" if machine["virtual"] else "cores"
    return (
        f"{machine['cores']} {virtual} of {machine['processor'] or 'an unnamed processor'}, "
        f"{machine['memory_mib'] / 1024:.0f} GiB, {machine['system']}, {machine['file_system']}; "
        f"Python {versions['python']}, ONNX Runtime {versions.get('onnxruntime', '?')}; "
        f"engine {engine['name']} {engine['version']} ({engine['sha256'][:12]})"
    )


def number(ms: float) -> str:
    """Milliseconds with three digits that count."""
    return f"{ms:.0f}" if ms >= 100 else f"{ms:.1f}" if ms >= 10 else f"{ms:.2f}" if ms >= 0.1 else f"{ms:.4f}"


def cells(row: Mapping[str, Any]) -> list[str]:
    """n, p50, p95, p99, max as text."""
    n = int(row["n"])
    p95 = number(row["p95_ms"]) if n >= ENOUGH_FOR_P95 else f"({number(row['p95_ms'])})"
    p99 = number(row["p99_ms"]) if n >= ENOUGH_FOR_P99 else f"({number(row['p99_ms'])})"
    return [f"{n:,}", number(row["p50_ms"]), p95, p99, number(row["max_ms"])]


def _engine(document: Mapping[str, Any], console: Console) -> None:
    rows: Sequence[Mapping[str, Any]] = document["engine_alone"]
    table = _table("The engine alone", ("backend", "what"), (*_NUMBERS, "a slice", "floor", "x floor"))
    for row in rows:
        a_slice = number(row["p50_ms_a_slice"]) if "p50_ms_a_slice" in row else ""
        floor = number(row["floor_ms"]) if "floor_ms" in row else ""
        times = f"{row['times_floor']:.1f}" if "times_floor" in row else ""
        table.add_row(row["backend"], row["said"], *cells(row), a_slice, floor, times)
    console.print(table)
    for note in dict.fromkeys(row["note"] for row in rows if row.get("note")):
        _say(console, f"  {note}")
    if document["work"]:
        _say(console, f"  {floor_words(document)}")


def floor_words(document: Mapping[str, Any]) -> str:
    """What the floor is made of."""
    work = document["work"]
    said = "; ".join(
        f"{one['gflops']:.0f} GFLOP/s and {one['copy_gb_s']:.1f} GB/s with {one['threads']} "
        f"thread{'s' if one['threads'] > 1 else ''}"
        for one in document["ceilings"]
    )
    below = any(row.get("times_floor", 1.0) < 1.0 for row in document["engine_alone"])
    doubt = " A ratio below 1 says that others worked while the most was measured." if below else ""
    return (
        f"Floor: {work['macs'] / 1e6:.0f} million multiply-adds and {work['bytes'] / 1e6:.1f} MB a slice, against what this "
        f"machine did at most: {said}.{doubt}"
    )


def _plain(console: Console, title: str, rows: Sequence[Mapping[str, Any]]) -> None:
    if not rows:
        return
    table = _table(title, ("what",), _NUMBERS)
    for row in rows:
        missing = f" ({row['missing']} never came)" if row.get("missing") else ""
        table.add_row(f"{row['said']}{missing}", *cells(row))
    console.print(table)


def _idle(document: Mapping[str, Any], console: Console) -> None:
    if not document["idle"]:
        return
    table = _table(
        "While nothing lands",
        ("program",),
        ("% of a core", "wake-ups/s", "processes", "RSS MiB", "own share MiB", "peak after scans MiB"),
    )
    for program, found in document["idle"].items():
        peak = (document["memory"] or {}).get(program, {}).get("peak_rss_mib")
        table.add_row(
            program, f"{found['cpu_percent']:.1f}", f"{found['wakeups_per_s']:.0f}", str(found["processes"]),
            f"{found['rss_mib']:.0f}", f"{found['pss_mib']:.0f}", "" if peak is None else f"{peak:.0f}",
        )  # fmt: skip
    console.print(table)


def _against(found: Mapping[str, Any], console: Console) -> None:
    table = _table(f"Times the run of {found['made_at']}", ("what",), ("n then", "n now", "p50", "p95", "p99"))
    for one in found["ratios"]:
        ratios = (f"{one[name]:.2f}" if one[name] is not None else "" for name in ("p50", "p95", "p99"))
        table.add_row(one["id"], f"{one['n_earlier']:,}", f"{one['n']:,}", *ratios)
    console.print(table)
    for differs in found["differs"]:
        _say(console, f"UNLIKE: {differs}")


def _table(title: str, words: Sequence[str], numbers: Sequence[str]) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", show_edge=False, pad_edge=False)
    for name in words:
        table.add_column(name, overflow="fold")
    for name in numbers:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _say(console: Console, said: str) -> None:
    console.print(said, markup=False, soft_wrap=True)
