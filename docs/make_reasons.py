"""Writes docs/reasons.md from the table in appliance/core/reasons.py."""

from pathlib import Path

from appliance.core.reasons import REASONS, Of

TITLES = {
    Of.FILE: "Files",
    Of.SERIES: "Series",
    Of.STUDY: "Studies",
    Of.TECHNICAL: "The box",
    Of.CORRECTION: "Corrections",
}


def page() -> str:
    """The whole page."""
    lines = [
        "# Reasons",
        "",
        "Every code that stands in the ledger and on the page. Made by `python docs/make_reasons.py`.",
        "",
    ]
    for of, title in TITLES.items():
        lines += [f"## {title}", "", "| code | leads to | sentence | next step |", "|---|---|---|---|"]
        lines += [
            f"| `{one.code}` | {one.leads_to.replace('|', ', ')} | {one.sentence} | {one.next_step} |"
            for one in REASONS.values()
            if one.of is of
        ]
        lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    (Path(__file__).parent / "reasons.md").write_text(page())
