"""The summary for a terminal. No patient is named."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from appliance.core.words import LABELS

DISCLAIMER: Final = "Not a cleared medical device. These figures hold for this set alone."


def show(summary: Mapping[str, Any], console: Console) -> None:
    """What was read, how well bleeds rank, what the operating points give, where the engine looks."""
    engine = summary["engine"]
    _say(console, f"Engine {engine['name']} {engine['version']} ({engine['sha256'][:12]}), {summary['backend']}")
    _say(console, f"{summary['rows']} rows, {summary['patients']} patients, {summary['images_a_second']} pictures/s")
    if summary["drawn"]:
        _say(console, summary["drawn"])
    for why, count in summary["not_answered"].items():
        _say(console, f"NOT ANSWERED: {count} rows: {why}")
    console.print(areas(summary))
    if summary["exams"]["n"]:
        console.print(_points(summary))
        console.print(_outcomes(summary))
    parts = [one for one in summary["subgroups"] if one["of"] == "exams"]
    if parts:
        console.print(_parts(parts))
    for line in place_lines(summary):
        _say(console, line)
    _say(console, "In brackets 95 % intervals, of AUC by patient; false alarms at most: with 95 % certainty.")
    _say(console, DISCLAIMER)


def areas(summary: Mapping[str, Any]) -> Table:
    """AUC of each label, of pictures and of exams."""
    table = Table("AUC", "pictures +/-", "pictures", "exams +/-", "exams")
    for label in LABELS:
        of_images, of_exams = summary["images"]["auc"][label], summary["exams"]["auc"][label]
        table.add_row(label, _counts(of_images), area_said(of_images), _counts(of_exams), area_said(of_exams))
    return table


def _points(summary: Mapping[str, Any]) -> Table:
    table = Table("Exams at", "sensitivity", "specificity", "false alarms")
    for point in summary["exams"]["over_point"].values():
        table.add_row(
            point["said"], share_said(point["sensitivity"]), share_said(point["specificity"]), bound_said(point)
        )
    return table


def _outcomes(summary: Mapping[str, Any]) -> Table:
    outcomes: Mapping[str, Mapping[str, int]] = summary["exams"]["outcomes"]
    seen = [name for name in outcomes["bleeding"] if any(counts[name] for counts in outcomes.values())]
    table = Table("Exams", *seen)
    for name, said in (("bleeding", "that bleed"), ("bleed_free", "that do not"), ("unknown", "not labelled")):
        table.add_row(said, *(str(outcomes[name][outcome]) for outcome in seen))
    return table


def _parts(parts: Sequence[Mapping[str, Any]]) -> Table:
    table = Table("Part", "exams +/-", "AUC", "early, before the last slice", "early, without a bleed")
    for one in parts:
        table.add_row(
            f"{one['column']}: {one['value']}",
            f"{one['bleeding']}/{one['bleed_free']}",
            area_said(one["auc"]),
            share_said(one["early"]["fired_before_last"]),
            false_early_said(one["early"]),
        )
    return table


def place_lines(summary: Mapping[str, Any]) -> list[str]:
    """Peaks in masks and boxes, Dice, best slices, kinds, early alerts, calibration: those of which something is known."""
    place, exams, images, early = (summary[name] for name in ("place", "exams", "images", "early"))
    dice = place["dice"]
    shares: Sequence[tuple[str, Mapping[str, Any]]] = (
        ("Hottest cell inside the mask", place["mask"]["inside"]),
        ("  at most 2 mm away from it", place["mask"]["near"]),
        ("Hottest cell inside a box", place["boxes"]["inside"]),
        ("  at most 2 mm away from it", place["boxes"]["near"]),
        ("Kind right in bleeding pictures", images["kind_right"]),
        ("Highest slice of a bleeding exam bleeds", exams["best_slice_right"]),
        ("Early alert before the last slice of a bleeding exam", early["fired_before_last"]),
        ("Early alert in an exam without a bleed", early["false"]),
    )
    lines = [f"{said}: {share_said(share)}" for said, share in shares if share["n"]]
    if dice["n"]:
        lines.append(
            f"Dice of what is hot and as dense as blood with the mask, median of {dice['n']}: {dice['median']:.2f}"
        )
    if images["calibration"]["error"] is not None:
        lines.append(f"Expected calibration error of pictures: {images['calibration']['error']:.3f}")
    return lines


def area_said(area: Mapping[str, Any]) -> str:
    """.923 (.867–.959)"""
    if area["auc"] is None:
        return "-"
    spread = "" if area["low"] is None else f" ({_short(area['low'])}–{_short(area['high'])})"
    return f"{_short(area['auc'])}{spread}"


def share_said(share: Mapping[str, Any]) -> str:
    """9/10, 90 % (60–98)"""
    if not share["n"]:
        return "-"
    return (
        f"{share['hits']}/{share['n']}, {100 * share['share']:.0f} % "
        f"({100 * share['low']:.0f}–{100 * share['high']:.0f})"
    )


def bound_said(point: Mapping[str, Any]) -> str:
    """1 of 236, at most 2.0 %. What is above every bound that is spoken of is "not certified"."""
    if not point["negatives"]:
        return "-"
    said = f"{point['false_positives']} of {point['negatives']}, at most {100 * point['false_share_at_most']:.1f} %"
    return said if point["proven_at_most"] is not None else f"{said}: not certified"


def false_early_said(early: Mapping[str, Any]) -> str:
    """1 of 236, at most 2.0 %"""
    false = early["false"]
    if not false["n"]:
        return "-"
    return f"{false['hits']} of {false['n']}, at most {early['false_per_1000_at_most'] / 10:.1f} %"


def _short(value: float) -> str:
    return f"{value:.3f}".removeprefix("0")


def _counts(area: Mapping[str, Any]) -> str:
    return f"{area['positive']}/{area['negative']}"


def _say(console: Console, text: str) -> None:
    console.print(text, markup=False)
