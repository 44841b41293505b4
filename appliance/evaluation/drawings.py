"""Figures as SVG, drawn by hand: ROC curves, calibration, intervals in rows. Every text is escaped here.

Colours are classes of the page that holds them, so that it can be dark or light.
"""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, Final

SIDE: Final = 260
_MARGIN: Final = 34
_ROW: Final = 20
_WIDE: Final = 520
_NAMES: Final = 170


def roc(curve: Mapping[str, Sequence[float]], points: Mapping[str, tuple[float, float]], said: str) -> str:
    """Sensitivity over false share, with the operating points (false share, sensitivity) by name."""
    line = " ".join(f"{_x(x):.1f},{_y(y):.1f}" for x, y in zip(curve["false_share"], curve["sensitivity"], strict=True))
    marks = "".join(
        f'<circle class="point {escape(name)}" cx="{_x(x):.1f}" cy="{_y(y):.1f}" r="4"><title>'
        f"{escape(f'{name}: sensitivity {y:.2f}, false share {x:.3f}')}</title></circle>"
        for name, (x, y) in points.items()
    )
    body = f'<polyline class="curve" points="{line}"/>{marks}' if line else ""
    return _square(body, "false share", "sensitivity", said)


def calibration(bins: Sequence[Mapping[str, Any]], said: str) -> str:
    """The share that was true over what was said, with its interval; on the diagonal the two agree."""
    body = []
    for one in bins:
        true, x = one["true"], _x(one["mean"])
        words = escape(f"said {one['mean']:.3f}, true {true['hits']} of {true['n']}")
        body.append(
            f'<line class="reach" x1="{x:.1f}" x2="{x:.1f}" y1="{_y(true["low"]):.1f}" y2="{_y(true["high"]):.1f}"/>'
            f'<circle class="point" cx="{x:.1f}" cy="{_y(true["share"]):.1f}" r="3"><title>{words}</title></circle>'
        )
    return _square("".join(body), "said", "true", said)


def steps(shares: Sequence[float], of: int, said: str) -> str:
    """How many of `of` exams had their alert, over the share of slices seen."""
    ordered = sorted(shares)
    at = [(0.0, 0.0)]
    for number, share in enumerate(ordered, start=1):
        at += [(share, at[-1][1]), (share, number / of)]
    at.append((1.0, at[-1][1]))
    line = " ".join(f"{_x(x):.1f},{_y(y):.1f}" for x, y in at)
    return _square(
        f'<polyline class="curve" points="{line}"/>', "share of slices seen", "alerted", said, diagonal=False
    )


def forest(rows: Sequence[tuple[str, Mapping[str, Any]]], said: str) -> str:
    """AUCs with their intervals, one line each, from one half to 1."""
    height = _ROW * len(rows) + 30
    body = [_tick(value, height) for value in (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)]
    for number, (name, area) in enumerate(rows):
        middle = _ROW * number + _ROW / 2 + 4
        body.append(
            f'<text class="label" x="{_NAMES - 8}" y="{middle + 4:.0f}" text-anchor="end">{escape(name)}</text>'
        )
        if area["auc"] is None:
            body.append(f'<text class="label" x="{_NAMES}" y="{middle + 4:.0f}">not defined</text>')
            continue
        if area["low"] is not None:
            body.append(
                f'<line class="reach" x1="{_over(area["low"]):.1f}" x2="{_over(area["high"]):.1f}" '
                f'y1="{middle}" y2="{middle}"/>'
            )
        body.append(
            f'<circle class="point" cx="{_over(area["auc"]):.1f}" cy="{middle}" r="4">'
            f"<title>{escape(name)} {area['auc']:.3f}</title></circle>"
        )
    return (
        f'<svg class="forest" viewBox="0 0 {_WIDE} {height}" width="{_WIDE}" height="{height}" role="img" '
        f'aria-label="{escape(said)}"><title>{escape(said)}</title>{"".join(body)}</svg>'
    )


def _over(value: float) -> float:
    return _NAMES + (min(1.0, max(0.5, value)) - 0.5) * 2 * (_WIDE - _NAMES - 20)


def _tick(value: float, height: int) -> str:
    x = _over(value)
    return (
        f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="4" y2="{height - 20}"/>'
        f'<text class="label" x="{x:.1f}" y="{height - 6}" text-anchor="middle">{value:.1f}</text>'
    )


def _x(value: float) -> float:
    return _MARGIN + value * SIDE


def _y(value: float) -> float:
    return 8 + (1 - value) * SIDE


def _square(body: str, across: str, up: str, said: str, *, diagonal: bool = True) -> str:
    width, height = _MARGIN + SIDE + 10, SIDE + 44
    grid = "".join(
        f'<line class="grid" x1="{_x(0)}" x2="{_x(1)}" y1="{_y(at):.1f}" y2="{_y(at):.1f}"/>'
        f'<line class="grid" x1="{_x(at):.1f}" x2="{_x(at):.1f}" y1="{_y(0)}" y2="{_y(1)}"/>'
        f'<text class="label" x="{_MARGIN - 4}" y="{_y(at) + 4:.1f}" text-anchor="end">{at:g}</text>'
        f'<text class="label" x="{_x(at):.1f}" y="{_y(0) + 14:.1f}" text-anchor="middle">{at:g}</text>'
        for at in (0.0, 0.25, 0.5, 0.75, 1.0)
    )
    names = (
        f'<text class="label" x="{_x(0.5)}" y="{height - 4}" text-anchor="middle">{escape(across)}</text>'
        f'<text class="label" x="{_x(0.02)}" y="{_y(0.96):.0f}">{escape(up)}</text>'
    )
    equal = f'<line class="diagonal" x1="{_x(0)}" y1="{_y(0)}" x2="{_x(1)}" y2="{_y(1)}"/>' if diagonal else ""
    return (
        f'<svg class="square" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" '
        f'aria-label="{escape(said)}"><title>{escape(said)}</title>{grid}{equal}{body}{names}</svg>'
    )
