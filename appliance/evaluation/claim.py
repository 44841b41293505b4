"""What a report on an engine should answer, after CLAIM (Mongan, Moy and Kahn 2020): answered from the figures, or open.

What nobody but the reader's own site can know stays open here, by name: silence would read as if it had been settled.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from appliance.core.words import LABELS, Label

Document = Mapping[str, Any]


def claim(document: Document) -> list[dict[str, Any]]:
    """Each question with its answer; `open` where it has to be answered by a person."""
    return [
        {"asked": asked, "open": answer is None, "answer": said if answer is None else answer(document)}
        for asked, said, answer in _QUESTIONS
    ]


def _engine(document: Document) -> str:
    engine = document["engine"]
    return f"{engine['name']} {engine['version']}, sha256 {engine['sha256']}, on {document['backend']}."


def _size(document: Document) -> str:
    images, exams = document["images"], document["exams"]
    return (
        f"{document['rows']} rows of {document['patients']} patients: {images['bleeding']} pictures bleed, "
        f"{images['bleed_free']} do not, {images['unknown']} are not labelled; of {exams['n']} exams "
        f"{exams['bleeding']} bleed and {exams['bleed_free']} do not."
    )


def _missing(document: Document) -> str:
    missing = document["not_answered"]
    said = ", ".join(f"{count} {why}" for why, count in missing.items())
    return f"Not answered: {said}. They count in no figure of pictures." if said else "None: every row was answered."


def _intervals(document: Document) -> str:
    del document
    return (
        "AUC by bootstrap over patients (2,000 draws); shares by Wilson; bounds of false alarms by Clopper and Pearson."
    )


def _metrics(document: Document) -> str:
    del document
    return (
        "AUC, sensitivity and specificity of pictures and of exams at the engine's own operating points, per kind; "
        "calibration; place of the hottest cell; predictive values by prevalence; alerts before the last slice."
    )


def _subgroups(document: Document) -> str:
    parts = document["subgroups"]
    columns = ", ".join(dict.fromkeys(one["column"] for one in parts))
    return f"By {columns}." if parts else "No: the rows have no further columns (vendor, kernel, thickness, age, sex)."


def _failures(document: Document) -> str:
    worst = document["worst"]
    return f"The worst {len(worst['false_alarms'])} false alarms and {len(worst['misses'])} misses are named; see the sheet."


def _place(document: Document) -> str:
    place = document["place"]
    marked = [(by, place[by]["inside"]) for by in ("mask", "boxes") if place[by]["inside"]["n"]]
    if not marked:
        return "No picture is marked, so nothing is known of the place."
    return "; ".join(f"{one['hits']} of {one['n']} peaks inside the {by}" for by, one in marked) + "."


def _calibrated(document: Document) -> str:
    error = document["images"]["calibration"]["error"]
    return (
        "Not known: nothing is labelled." if error is None else f"Expected calibration error of pictures {error:.3f}."
    )


def _doubt(document: Document) -> str:
    area = document["exams"]["auc"][LABELS[LABELS.index(Label.ANY)]]
    few = min(area["positive"], area["negative"])
    return f"The rarer class has {few} exams; {'below 30 no figure of exams decides anything.' if few < 30 else 'see the intervals.'}"


_Answer = Callable[[Document], str]

_QUESTIONS: Final[tuple[tuple[str, str, _Answer | None], ...]] = (
    ("Which model, exactly, and on what software?", "", _engine),
    ("How many cases, of how many patients?", "", _size),
    ("What was left out, and how was what is missing dealt with?", "", _missing),
    ("Which measures of performance?", "", _metrics),
    ("How sure are they?", "", _intervals),
    ("Is the set large enough?", "", _doubt),
    ("How is the model calibrated?", "", _calibrated),
    ("Does it look at the right place?", "", _place),
    ("How does it do in parts of the set?", "", _subgroups),
    ("Where does it fail?", "", _failures),
    ("Where do the data come from, and when?", "Name the sites, scanners and dates.", None),
    ("How were the cases chosen?", "Say whether they are consecutive, and what was excluded.", None),
    (
        "Who set the labels, by what rule, and how often did readers agree?",
        "Name the readers and their experience.",
        None,
    ),
    (
        "Has the model, or a choice made for it, met these patients before?",
        "Compare with the sets of its model card.",
        None,
    ),
    ("Is the mix of patients that of the intended use?", "State the prevalence and the reasons for the scans.", None),
    ("What may the data be used for?", "Name licence and ethical approval.", None),
)
