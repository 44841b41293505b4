"""Every reason there is: its code, what it is said of, the sentence people read, and their next step.

This is the only place. The code stands in the ledger, on the page and in the docs.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Of(StrEnum):
    """What a reason is said of."""

    FILE = "file"
    SERIES = "series"
    STUDY = "study"
    TECHNICAL = "technical"
    CORRECTION = "correction"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """One row of the table. `leads_to` is the verdict, outcome or level that the reason brings; `|` parts several."""

    code: str
    of: Of
    leads_to: str
    sentence: str
    next_step: str


_ROWS: Final = (
    (
        "not-dicom",
        "file",
        "IGNORED",
        "This is not a DICOM file.",
        "None. If a scan is missing, send it again from the console.",
    ),
    (
        "temp-name",
        "file",
        "IGNORED",
        "Its name says that this transfer is not finished.",
        "None. It is taken as soon as it gets its final name.",
    ),
    (
        "media-directory",
        "file",
        "IGNORED",
        "This is the table of contents of a disc or an export, not a picture.",
        "None.",
    ),
    (
        "special-file",
        "file",
        "IGNORED",
        "This is a link, a pipe or a device, not a plain file. It was not opened.",
        "Copy the file itself into the landing folder.",
    ),
    (
        "empty-file",
        "file",
        "IGNORED",
        "The file is empty.",
        "None. It is looked at again when it changes. If it stays empty, send that slice again.",
    ),
    ("mr", "file", "DECLINED", "This is an MR picture. Bleedwatch reads CT only.", "None."),
    (
        "secondary-capture",
        "file",
        "DECLINED",
        "This is a screen picture or a summary page, not a scanned slice.",
        "None. If the scan itself is missing, send it.",
    ),
    ("no-picture", "file", "DECLINED", "This is a report, a plan or a marking, not a picture.", "None."),
    ("not-ct", "file", "DECLINED", "This is not a CT picture.", "None."),
    (
        "unsupported-picture",
        "file",
        "DECLINED",
        "This CT file is not one grey slice with exact values: it is in colour, in 8 bits, tiny, or holds several pictures.",
        "Send the original grey slices, one in a file.",
    ),
    (
        "truncated",
        "file",
        "SET_ASIDE",
        "The file ends too early. A part of it is missing.",
        "Send the series again.",
    ),
    (
        "broken-structure",
        "file",
        "SET_ASIDE",
        "The file is damaged or was written against the rules.",
        "Send the series again. The file is kept for the administrator.",
    ),
    (
        "pixel-length",
        "file",
        "SET_ASIDE",
        "The picture in the file does not fit the size that its header gives.",
        "Send the series again. The file is kept for the administrator.",
    ),
    (
        "no-pixels",
        "file",
        "SET_ASIDE",
        "The file says that it is a CT slice and holds no picture.",
        "Send the series again.",
    ),
    (
        "no-identity",
        "file",
        "SET_ASIDE",
        "The file does not say to which study, series or slice it belongs.",
        "Send the series again from the console. The file is kept for the administrator.",
    ),
    (
        "bad-uid",
        "file",
        "SET_ASIDE",
        "The number that names this slice is not valid.",
        "Send the series again from the console. The file is kept for the administrator.",
    ),
    (
        "codec-mismatch",
        "file",
        "SET_ASIDE",
        "The compressed picture and its header do not agree.",
        "Send the series again. The file is kept for the administrator.",
    ),
    (
        "decode-failed",
        "file",
        "SET_ASIDE",
        "The compressed picture could not be unpacked.",
        "Send the series again. The file is kept for the administrator.",
    ),
    (
        "unsupported-syntax",
        "file",
        "SET_ASIDE",
        "The picture is packed in a way that this box does not know ({syntax}).",
        "Send the series uncompressed. Tell the administrator.",
    ),
    (
        "too-large",
        "file",
        "SET_ASIDE",
        "The file asks for far more room than a CT slice needs. It was not opened further.",
        "Send the series again. The file is kept for the administrator.",
    ),
    (
        "too-deep",
        "file",
        "SET_ASIDE",
        "The header is folded into itself too many times. It was not opened further.",
        "Send the series again. The file is kept for the administrator.",
    ),
    (
        "bomb",
        "file",
        "SET_ASIDE",
        "The file unpacks to far more than a CT slice can hold. Unpacking was stopped.",
        "Send the series again. The file is kept for the administrator.",
    ),
    (
        "no-rescale",
        "file",
        "SET_ASIDE",
        "The header does not say how grey values become CT numbers.",
        "Please look early. Tell the administrator.",
    ),
    (
        "bad-geometry",
        "file",
        "SET_ASIDE",
        "The header does not say where the slice lies or how large it is.",
        "Please look early. Tell the administrator.",
    ),
    (
        "high-bit",
        "file",
        "SET_ASIDE",
        "The header contradicts itself about how grey values are stored.",
        "Please look early. Tell the administrator.",
    ),
    (
        "not-readable",
        "file",
        "SET_ASIDE",
        "The file could not be opened: no permission, or a fault of the disk.",
        "Tell the administrator. Check who may read the landing folder.",
    ),
    (
        "killed-its-reader",
        "file",
        "POISON",
        "One file stopped its reader twice and is held back.",
        "Send that series again. The file is kept for the administrator.",
    ),
    ("same-pixels", "file", "DUPLICATE", "This slice was already received with the same picture.", "None."),
    (
        "localizer",
        "series",
        "DECLINED",
        "This is the scout picture, not a head scan.",
        "None. If the slices are missing, send them.",
    ),
    (
        "derived",
        "series",
        "DECLINED",
        "This series was computed from other slices.",
        "Send the original slices too.",
    ),
    (
        "secondary-capture",
        "series",
        "DECLINED",
        "These are screen pictures or summary pages, not scanned slices.",
        "None. If the scan itself is missing, send it.",
    ),
    ("bone-kernel", "series", "DECLINED", "Only a sharp (bone) series landed.", "Send the soft series too."),
    (
        "contrast",
        "series",
        "DECLINED",
        "Contrast was given. This engine reads native head CT only.",
        "Read it in its usual turn or sooner. If the header is wrong, correct the protocol and send again.",
    ),
    (
        "perfusion",
        "series",
        "DECLINED",
        "This is a perfusion scan or a map made from it. This engine reads native head CT only.",
        "Send the native series too.",
    ),
    (
        "not-a-head",
        "series",
        "DECLINED",
        "The scan is of the {part}, not of the head.",
        "If it is a head: check the protocol name, send again.",
    ),
    (
        "not-axial",
        "series",
        "DECLINED",
        "The pictures are not cut across the head (axial).",
        "Send the axial series too.",
    ),
    (
        "no-brain",
        "series",
        "DECLINED",
        "No brain tissue was found in these slices.",
        "If it is a patient's head: please look early and tell the administrator.",
    ),
    (
        "hu-implausible",
        "series",
        "DECLINED",
        "The grey values are off (brain reads {hu}).",
        "Please look early. Tell the administrator.",
    ),
    (
        "age",
        "series",
        "DECLINED",
        "The patient's age is outside {ages}, for which this engine was made.",
        "Read it in its usual turn or sooner.",
    ),
    (
        "spectral-map",
        "series",
        "DECLINED",
        "This is a spectral or material map. Its grey values are not CT numbers.",
        "Send the plain series too.",
    ),
    (
        "mr",
        "series",
        "DECLINED",
        "These are MR pictures. Bleedwatch reads CT only.",
        "None. If it is a CT: the header is wrong, tell the administrator.",
    ),
    (
        "suspected-bleed",
        "study",
        "CRITICAL",
        "Suspected bleed {place}, {side}.",
        "Look now, then press Acknowledge.",
    ),
    ("possible-bleed", "study", "REVIEW", "Possible bleed {place}, {side}.", "Please look early."),
    (
        "none-flagged",
        "study",
        "NO FINDING",
        "All {n} slices read, none flagged.",
        "A person still has to read it.",
    ),
    (
        "slices-missing",
        "study",
        "INCOMPLETE",
        "Slices {first} to {last} never arrived.",
        "Send the series again.",
    ),
    (
        "too-few-slices",
        "study",
        "INCOMPLETE",
        "{n} slices landed; a head needs at least {least}.",
        "Send the whole series.",
    ),
    (
        "set-aside-file",
        "study",
        "INCOMPLETE",
        "{n} files of this study could not be read and are held back.",
        "Send the series again. The file is kept for the administrator.",
    ),
    (
        "timed-out",
        "study",
        "INCOMPLETE",
        "Nobody sent the rest for {minutes} minutes.",
        "Send what is missing; the reading is then made again.",
    ),
    (
        "part-of-brain",
        "study",
        "INCOMPLETE",
        "The scan ends inside the brain: its {end} is missing.",
        "Send the whole series. If there is no more of it, please look early.",
    ),
    ("motion", "study", "INDETERMINATE", "The patient moved in {n} of {all} slices.", "Please look early."),
    (
        "metal",
        "study",
        "INDETERMINATE",
        "Bright streaks from metal in slices {first} to {last}.",
        "Please look early.",
    ),
    (
        "contrast-seen",
        "study",
        "INDETERMINATE",
        "Vessels are bright in {n} of {all} slices: it looks as if contrast was given.",
        "Please look early. If it was given, correct the protocol: contrast looks like blood, and blood like contrast.",
    ),
    (
        "skull-open",
        "study",
        "INDETERMINATE",
        "The skull is open in slices {first} to {last}: after surgery, or by a wide fracture.",
        "Please look early.",
    ),
    (
        "grey-values",
        "study",
        "INDETERMINATE",
        "The grey values are not those of a CT: {what}.",
        "Please look early. Tell the administrator.",
    ),
    (
        "unlike-training",
        "study",
        "INDETERMINATE",
        "This scan does not look like those the engine learned from.",
        "Please look early. Tell the administrator if it happens often.",
    ),
    (
        "engine-fault",
        "study",
        "INDETERMINATE",
        "The engine did not answer for slice {slice}. Tried {n} times.",
        "Please look early. The box tries again by itself.",
    ),
    (
        "no-eligible-series",
        "study",
        "NOT ANALYSED",
        "A head CT landed and nobody has read it: {why}",
        'Please look early, then press "I have seen it".',
    ),
    ("no-head", "study", "NOT ANALYSED", "No head CT in this study: {why}", "None."),
    (
        "triage-silent",
        "technical",
        "BLIND",
        "Slices are landing and nobody is reading them.",
        "Look at every head CT yourself until this band is gone. Call the administrator now.",
    ),
    (
        "courier-silent",
        "technical",
        "TECHNICAL",
        "Alerts reach this screen but no pager.",
        "Stay near this screen. Call the administrator.",
    ),
    (
        "dashboard-silent",
        "technical",
        "TECHNICAL",
        "Alerts reach the pager but no screen.",
        "Keep the pager with you. Call the administrator.",
    ),
    (
        "engine-fault",
        "technical",
        "TECHNICAL|BLIND",
        "The engine has stopped answering. The box tries again by itself.",
        "If this band says BLIND, look at every head CT yourself. Call the administrator.",
    ),
    (
        "engine-golden-failed",
        "technical",
        "TECHNICAL|BLIND",
        "The engine gives wrong answers to its test pictures and was stopped.",
        "If this band says BLIND, look at every head CT yourself. Tell the model's owner.",
    ),
    (
        "engine-changed",
        "technical",
        "TECHNICAL|BLIND",
        "The engine's files are no longer those that were installed.",
        "If this band says BLIND, look at every head CT yourself. Tell the model's owner.",
    ),
    (
        "poison-file",
        "technical",
        "TECHNICAL",
        "One file stopped its reader twice and is held back.",
        "Send that series again. The file is kept for the administrator.",
    ),
    (
        "nobody-can-be-told",
        "technical",
        "BLIND",
        "No screen and no pager answers since {time}. Alerts are kept and told as soon as one does.",
        "Open the board on a screen and arm its sound. Call the administrator now.",
    ),
    (
        "sop-conflict",
        "technical",
        "TECHNICAL",
        "Two different pictures came under one slice number. Both were read; the higher counts.",
        "Look at both pictures. Tell the administrator.",
    ),
    (
        "inbox-unreachable",
        "technical",
        "BLIND",
        "The landing folder cannot be reached since {time}. New scans are not seen.",
        "Check the network drive. Look at every head CT yourself until this band is gone.",
    ),
    (
        "inbox-covered",
        "technical",
        "BLIND",
        "The landing folder was covered by another drive at {time}. New scans are not seen.",
        "Take the other drive away. Look at every head CT yourself until this band is gone.",
    ),
    (
        "inbox-folders-closed",
        "technical",
        "BLIND",
        "{folders} in the landing folder cannot be opened. Scans in there are not seen.",
        "Look at every head CT yourself until this band is gone. Call the administrator now: Bleedwatch may not enter them.",
    ),
    (
        "watcher-deaf",
        "technical",
        "TECHNICAL",
        "The box finds new slices only every {s} s.",
        "Tell the administrator. Nothing is lost.",
    ),
    (
        "nothing-landed",
        "technical",
        "TECHNICAL",
        "Nothing has landed for {time}. That is unusual at this hour.",
        "Check that the scanner still sends to Bleedwatch.",
    ),
    (
        "disk-low",
        "technical",
        "TECHNICAL",
        "{percent} % of the store is free. Old pictures are being removed; new scans still land.",
        "Tell the administrator.",
    ),
    (
        "store-not-writable",
        "technical",
        "BLIND",
        "The store takes no more slices. What lands stays in the landing folder, and is not read.",
        "Look at every head CT yourself until this band is gone. Call the administrator now: make room on the disk.",
    ),
    (
        "ledger-not-writable",
        "technical",
        "BLIND",
        "The box cannot write its records, so it cannot promise an alert.",
        "Call the administrator now. Look at every head CT yourself until this band is gone.",
    ),
    (
        "ledger-damaged",
        "technical",
        "BLIND",
        "The records of the box are damaged, so it cannot promise an alert.",
        "Call the administrator now. Look at every head CT yourself until this band is gone.",
    ),
    (
        "backend-fell-back",
        "technical",
        "TECHNICAL",
        "Slower than usual: the fast engine has failed and the spare reads every slice (since {time}).",
        "Tell the administrator.",
    ),
    (
        "engine-refused",
        "technical",
        "BLIND",
        "The plan of the fast engine may not serve, and the settings let nobody read instead (since {time}).",
        "Look at every head CT yourself until this band is gone. Call the administrator: bleedwatch doctor says why.",
    ),
    (
        "gpu-lost",
        "technical",
        "TECHNICAL",
        "Slower than usual: the graphics card is lost, the processor has taken over ({time}).",
        "Restart the box when no patient is on the table.",
    ),
    (
        "backlog",
        "technical",
        "TECHNICAL|BLIND",
        "Reading is {s} s behind. Nothing is lost.",
        "If this band says BLIND, look at every head CT yourself. Tell the administrator if it lasts.",
    ),
    (
        "clock-jumped",
        "technical",
        "TECHNICAL",
        "The clock of the box jumped by {jump} at {time}. Times of that minute may be wrong; ages are right.",
        "Tell the administrator.",
    ),
    (
        "watch-limit",
        "technical",
        "TECHNICAL",
        "The system lets the box watch no more folders. Slices in the others are found a little later.",
        "Tell the administrator: raise the limit that the doctor names.",
    ),
    (
        "study-unread",
        "technical",
        "TECHNICAL",
        "A head CT has waited {time} for its reading.",
        "Look at it yourself. Tell the administrator.",
    ),
    (
        "dead-letters",
        "technical",
        "TECHNICAL",
        "The channel {channel} has taken no message since {time}. The box goes on trying.",
        "Stay near this screen. Tell the administrator: a test alarm shows whether it works again.",
    ),
    ("backup-failed", "technical", "TECHNICAL", "Last night's backup failed.", "Tell the administrator."),
    (
        "certificate-ending",
        "technical",
        "TECHNICAL",
        "The certificate of this page ends in {n} days.",
        "Tell the administrator.",
    ),
    (
        "screen-silent",
        "technical",
        "TECHNICAL",
        "The screen {screen} cannot sound since {time}.",
        "Press its button and arm the sound.",
    ),
    (
        "engine-older",
        "technical",
        "TECHNICAL",
        "An older engine is in use ({version}): the new one failed its self-test.",
        "Tell the model's owner.",
    ),
    ("padding-removed", "correction", "TAKEN", "Filling outside the picture was set to air.", "None."),
    (
        "unsigned-padding",
        "correction",
        "TAKEN",
        "The filling value was written without its minus sign and was read as meant.",
        "None.",
    ),
    (
        "wrapped-12-bit",
        "correction",
        "TAKEN",
        "Grey values had run over their range and were put back.",
        "If the picture looks wrong, tell the administrator.",
    ),
    (
        "sign-corrected",
        "correction",
        "TAKEN",
        "Header and picture disagree about minus signs; the header was followed.",
        "If the picture looks wrong, tell the administrator.",
    ),
    (
        "high-bits-masked",
        "correction",
        "TAKEN",
        "Old drawings stored above the grey values were removed.",
        "None.",
    ),
    (
        "bits-shifted",
        "correction",
        "TAKEN",
        "Grey values were stored too far left and were moved back.",
        "If the picture looks wrong, tell the administrator.",
    ),
    ("pixels-trimmed", "correction", "TAKEN", "Bytes behind the picture were left out.", "None."),
    ("rows-flipped", "correction", "TAKEN", "The picture was stored upside down and was turned.", "None."),
    (
        "resampled",
        "correction",
        "TAKEN",
        "The pixels are not square; the picture was stretched to its true shape.",
        "None.",
    ),
    ("tilt", "correction", "TAKEN", "The scanner was tilted; places are computed along the tilt.", "None."),
    ("two-thicknesses", "correction", "TAKEN", "The series has slices of two thicknesses.", "None."),
    (
        "lossy",
        "correction",
        "TAKEN",
        "The picture was compressed with loss; fine detail may be false.",
        "Send it uncompressed where you can.",
    ),
    (
        "preamble-missing",
        "correction",
        "TAKEN",
        "The file begins without its usual opening; its form was guessed.",
        "Tell the administrator if it happens often.",
    ),
    (
        "syntax-guessed",
        "correction",
        "TAKEN",
        "The file is packed in another way than it says, or does not say; its form was guessed.",
        "Tell the administrator if it happens often.",
    ),
    (
        "header-mended",
        "correction",
        "TAKEN",
        "The header was written against the rules and was read as meant.",
        "Tell the administrator if it happens often.",
    ),
    (
        "header-incomplete",
        "correction",
        "TAKEN",
        "A part of the header is missing or cannot be read (kind of picture, body part, thickness, date).",
        "None.",
    ),
    (
        "charset-guessed",
        "correction",
        "TAKEN",
        "Letters of the name could not be read with certainty.",
        "Compare the name with the order.",
    ),
    (
        "text-cleaned",
        "correction",
        "TAKEN",
        "Unreadable characters were removed from the header, or a very long text was cut.",
        "Compare the name with the order.",
    ),
)

REASONS: Final = {
    (Of(of), code): Reason(code=code, of=Of(of), leads_to=leads_to, sentence=sentence, next_step=next_step)
    for code, of, leads_to, sentence, next_step in _ROWS
}


def reason(of: Of, code: str) -> Reason:
    """The row of a code. KeyError for a code that is not in the table."""
    return REASONS[(of, code)]


class _Unsaid(dict[str, str]):
    """A place of a sentence that nobody filled reads as three dots, never as an error at the console."""

    def __missing__(self, key: str) -> str:
        return "…"


def sentence(of: Of, code: str, **details: str) -> str:
    """The sentence of a reason with its places filled."""
    return reason(of, code).sentence.format_map(_Unsaid(details))
