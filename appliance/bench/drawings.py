"""Pictures of figures as SVG, drawn by hand: a histogram for each latency, and the waterfall of one exam.

Every text is escaped here. Colours are classes of the page that holds them, so that it can be dark or light.
"""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, Final

WIDTH: Final = 260
HEIGHT: Final = 44
_FALL_WIDTH: Final = 900
_LABEL: Final = 60
_ROW: Final = 13


def histogram(row: Mapping[str, Any]) -> str:
    """How often each latency came, by ratio from the left to the right, with p50, p95 and p99 as lines."""
    shape = row["histogram"]
    counts, edges = shape["counts"], shape["edges_ms"]
    most = max(counts) or 1
    wide = WIDTH / len(counts)
    bars = "".join(
        f'<rect class="bar" x="{index * wide:.1f}" y="{HEIGHT - height:.1f}" width="{wide - 0.5:.1f}" height="{height:.1f}"/>'
        for index, count in enumerate(counts)
        if count and (height := max(1.5, count / most * HEIGHT))
    )
    lines = "".join(
        f'<line class="{name}" x1="{x:.1f}" x2="{x:.1f}" y1="0" y2="{HEIGHT}"/>'
        for name in ("p50", "p95", "p99")
        if (x := _place(row[f"{name}_ms"], edges) * WIDTH) is not None
    )
    said = escape(f"{row['said']}: from {row['min_ms']:.3g} to {row['max_ms']:.3g} ms, p50 {row['p50_ms']:.3g} ms")
    return (
        f'<svg class="histogram" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" role="img" '
        f'aria-label="{said}"><title>{said}</title>{bars}{lines}</svg>'
    )


def _place(value_ms: float, edges: Sequence[float]) -> float:
    """Where a value lies between the outer edges, 0 to 1; edges grow by ratio."""
    from math import log

    low, high = edges[0], edges[-1]
    return min(1.0, max(0.0, log(max(value_ms, low) / low) / log(high / low)))


def waterfall(found: Mapping[str, Any]) -> str:
    """A line for each slice from the instant at which it was due; its stages, then waiting and commits, to the right."""
    slices, parts = found["slices"], found["parts"]
    ends = [one["scored_ms"] for one in slices if one["scored_ms"] is not None]
    marks = [(name, found[f"{name}_ms"]) for name in ("alert", "page", "final") if found[f"{name}_ms"] is not None]
    last_ms = max([*ends, *(at_ms for _, at_ms in marks), 1.0])
    scale = (_FALL_WIDTH - _LABEL - 10) / last_ms
    body = []
    for number, one in enumerate(slices):
        top = number * _ROW + 18
        body.append(
            f'<text class="{"evidence" if one["evidence"] else "label"}" x="{_LABEL - 6}" y="{top + 9}" '
            f'text-anchor="end">{"&#9670; " if one["evidence"] else ""}{number + 1}</text>'
        )
        body += _line(one, parts, top, scale)
    height = len(slices) * _ROW + 44
    for name, at_ms in marks:
        x = _LABEL + at_ms * scale
        body.append(f'<line class="mark {name}" x1="{x:.1f}" x2="{x:.1f}" y1="14" y2="{height - 24}"/>')
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        x = _LABEL + share * last_ms * scale
        body.append(
            f'<text class="label" x="{x:.1f}" y="{height - 6}" text-anchor="middle">{share * last_ms:.0f} ms</text>'
        )
    said = escape(f"Where the time of each slice went: {found['said']}")
    return (
        f'<svg class="waterfall" viewBox="0 0 {_FALL_WIDTH + 20} {height}" role="img" aria-label="{said}">'
        f"<title>{said}</title>{''.join(body)}</svg>"
    )


def _line(one: Mapping[str, Any], parts: Sequence[str], top: int, scale: float) -> list[str]:
    rects = []
    at_ms = float(one["due_ms"])
    for part in parts:
        took_ms = float(one["ms"].get(part, 0.0))
        rects.append(_rect(f"part-{part}", at_ms, took_ms, top, scale, f"slice: {part} {took_ms:.2f} ms"))
        at_ms += took_ms
    if one["scored_ms"] is not None and one["scored_ms"] > at_ms:
        rest_ms = float(one["scored_ms"]) - at_ms
        rects.append(_rect("part-rest", at_ms, rest_ms, top, scale, f"slice: commits and waiting {rest_ms:.2f} ms"))
    return rects


def _rect(name: str, at_ms: float, took_ms: float, top: int, scale: float, said: str) -> str:
    return (
        f'<rect class="{escape(name)}" x="{_LABEL + at_ms * scale:.2f}" y="{top}" width="{max(took_ms * scale, 0.3):.2f}" '
        f'height="{_ROW - 3}"><title>{escape(said)}</title></rect>'
    )
