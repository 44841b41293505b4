"""Scenes for the board: invented patients and drawn heads, written through the same functions that triage uses."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from appliance.core.alerts import Happening, Step
from appliance.core.headers import Header, Patient, SeriesFacts, SliceGeometry, StudyFacts
from appliance.core.ledger import (
    AlertChange,
    AlertKey,
    AlertRow,
    Finding,
    Judgement,
    OutcomeSaid,
    ReadingRow,
    Reasons,
    ScoredSlice,
    SeriesChange,
)
from appliance.core.slices import HEAT_SIZE, BoxPlace, SliceScore
from appliance.core.words import KINDS, Finality, Level, Outcome, SeriesState, SeriesVerdict, Side
from appliance.records.alerts import append_event, raise_alert
from appliance.records.judgement import commit_judgement
from appliance.records.ledger import Ledger
from appliance.records.series import open_series
from appliance.records.slices import take_slice
from appliance.records.studies import note_landing, open_study

S = 1_000_000_000
CRITICAL_POINT, REVIEW_POINT = 0.8, 0.4
CT_CLASS = "1.2.840.10008.5.1.4.1.1.2"
BLEED_AT = (0.55, 0.64)  # row and column of a drawn bleed, as shares of the picture: the patient's left
_LEVEL = {Outcome.CRITICAL: Level.CRITICAL, Outcome.REVIEW: Level.REVIEW}


def drawn_head(size: int = 128, *, bleed: bool = True) -> NDArray[np.int16]:
    """An oval skull with brain in it, int16 [size, size]; a bright spot on the patient's left."""
    row, column = np.mgrid[0:size, 0:size] / (size - 1)
    radius = np.hypot((row - 0.5) / 0.42, (column - 0.5) / 0.34)
    hu = np.full((size, size), -1000, dtype=np.int16)
    hu[radius < 1.0] = 1100
    hu[radius < 0.92] = 32
    if bleed:
        hu[np.hypot((row - BLEED_AT[0]) / 0.08, (column - BLEED_AT[1]) / 0.06) < 1.0] = 66
    return hu


def spot_heat(centre_rc: tuple[float, float] = BLEED_AT, width: float = 0.09) -> NDArray[np.uint8]:
    """A heat map with one hot spot, uint8 [56, 56]."""
    row, column = np.mgrid[0:HEAT_SIZE, 0:HEAT_SIZE] / (HEAT_SIZE - 1)
    warm = np.exp(-(((row - centre_rc[0]) / width) ** 2) - ((column - centre_rc[1]) / width) ** 2)
    return np.rint(255 * 0.97 * warm).astype(np.uint8)


def hump(slices: int, peak: int, height: float, width: float = 2.5) -> list[float]:
    """Probabilities of "any" of a series with one suspicious place, from foot to head."""
    return [round(0.02 + (height - 0.02) * float(np.exp(-(((n - peak) / width) ** 2))), 4) for n in range(slices)]


@dataclass(slots=True)
class Scanned:
    """A study as far as it has got."""

    study_id: int
    series_id: int
    facts: StudyFacts
    slice_ids: list[int] = field(default_factory=list)
    probabilities: list[float] = field(default_factory=list)
    reading_id: int | None = None

    @property
    def key(self) -> AlertKey:
        return AlertKey(
            kind="clinical", first=self.facts.patient.identity, second=self.facts.study_uid, third="head_ct"
        )


@dataclass(slots=True)
class Scene:
    """Writes studies, scores, readings and alerts into a ledger; pictures into a store."""

    ledger: Ledger
    store: Path
    now_ns: int
    made: int = 0

    def study(
        self,
        name: str,
        *,
        number: int,
        expected: int | None = 28,
        before_s: float = 30.0,
        verdict: SeriesVerdict = SeriesVerdict.READ,
        reasons: Reasons = (),
        may_be_head: bool = True,
    ) -> Scanned:
        """Opens a study with one series, `before_s` ago."""
        patient = Patient(
            identity=f"FAKE-{number:04d}\\SCENE",
            patient_id=f"FAKE-{number:04d}",
            name=name,
            birth_date="1951-01-01",
            sex="M",
        )
        facts = StudyFacts(study_uid=f"2.25.{900000 + number}", patient=patient, accession=f"ACC-FAKE-{100 + number}")
        series = SeriesFacts(
            series_uid=f"2.25.{900000 + number}.1",
            sop_class_uid=CT_CLASS,
            modality="CT",
            images_in_acquisition=expected,
        )
        at_ns = self.now_ns - round(before_s * S)
        with self.ledger.writing() as w:
            row = open_study(w, facts, at_ns)
            of = open_series(w, row.id, series, verdict, reasons, may_be_head, at_ns)
        return Scanned(study_id=row.id, series_id=of.id, facts=facts)

    def land(
        self,
        scanned: Scanned,
        probabilities: Sequence[float],
        *,
        places: Sequence[int] | None = None,
        hu: Sequence[NDArray[np.int16]] | None = None,
        heat: Sequence[NDArray[np.uint8]] | None = None,
        pixel_mm: float = 1.6,
        before_s: float = 5.0,
    ) -> None:
        """Slices land and are scored, the last `before_s` ago. `places` are numbers from the foot, in steps of 5 mm."""
        first = len(scanned.slice_ids)
        for n, probability in enumerate(probabilities):
            place = places[n] if places is not None else first + n
            picture = hu[n] if hu is not None else drawn_head(bleed=probability > REVIEW_POINT)
            landed_ns = self.now_ns - round((before_s + 0.1 * (len(probabilities) - 1 - n)) * S)
            self._one(scanned, place, probability, picture, heat[n] if heat is not None else None, pixel_mm, landed_ns)

    def read(
        self,
        scanned: Scanned,
        outcome: Outcome,
        *,
        final: bool,
        step: Step | None = None,
        label: str = "iph",
        side: Side = Side.LEFT,
        reasons: Reasons = (),
        before_s: float = 4.0,
        close: bool = False,
        details: dict[str, str] | None = None,
    ) -> AlertRow | None:
        """A reading of what has landed, with the step of the alert that it makes."""
        at_ns = self.now_ns - round(before_s * S)
        finality = Finality.FINAL if final else Finality.PROVISIONAL
        found = outcome in _LEVEL or step is not None
        reading = ReadingRow(
            id=0,
            series_id=scanned.series_id,
            revision=1,
            finality=finality,
            probabilities=_six(max(scanned.probabilities, default=0.0), label if found else ""),
            outcome=outcome,
            reasons=reasons,
            slices=len(scanned.slice_ids),
            finding=self._finding(scanned, label, side) if found else None,
            engine_sha256="e" * 64,
            engine_name="head-ct 0.1.0",
            backend="onnxruntime",
            critical_point=CRITICAL_POINT,
            review_point=REVIEW_POINT,
            made_ns=at_ns,
        )
        alert = None
        if step is not None:
            alert = AlertChange(
                key=scanned.key,
                step=step,
                study_id=scanned.study_id,
                series_id=scanned.series_id,
                details=details or {},
            )
        closed = (
            (SeriesChange(series_id=scanned.series_id, state=SeriesState.CLOSED, closed_ns=at_ns),) if final else ()
        )
        committed = commit_judgement(
            self.ledger,
            Judgement(
                at_ns=at_ns,
                series=closed,
                reading=reading,
                outcome=OutcomeSaid(study_id=scanned.study_id, outcome=outcome, reasons=reasons, close=close),
                alert=alert,
            ),
        )
        scanned.reading_id = committed.reading_id
        return committed.alert

    def close(self, scanned: Scanned, outcome: Outcome, reasons: Reasons, *, before_s: float = 4.0) -> None:
        """Closes a study without a reading."""
        said = OutcomeSaid(study_id=scanned.study_id, outcome=outcome, reasons=reasons, close=True)
        commit_judgement(self.ledger, Judgement(at_ns=self.now_ns - round(before_s * S), outcome=said))

    def critical(self, name: str, number: int, *, before_s: float = 5.0, slices: int = 19, **more: object) -> AlertRow:
        """A study that is landing and has raised CRITICAL."""
        scanned = self.study(name, number=number, before_s=before_s + 20)
        self.land(scanned, hump(28, 15, 0.95)[:slices], before_s=before_s)
        alert = self.read(
            scanned, Outcome.CRITICAL, final=False, step=raised(Level.CRITICAL), before_s=before_s, **more
        )  # type: ignore[arg-type]
        assert alert is not None
        return alert

    def acknowledge(self, alert: AlertRow, by: str, *, before_s: float = 1.0) -> None:
        """A person has answered."""
        at_ns = self.now_ns - round(before_s * S)
        with self.ledger.writing() as w:
            append_event(w, alert.id, Happening.ACKNOWLEDGED, at_ns=at_ns, by=by, details={})

    def technical(self, code: str, *, before_s: float = 137.0, **details: str) -> AlertRow:
        """A fault of the box."""
        key = AlertKey(kind="technical", first=code, second="box")
        at_ns = self.now_ns - round(before_s * S)
        with self.ledger.writing() as w:
            return raise_alert(
                w,
                key,
                Level.TECHNICAL,
                study_id=None,
                series_id=None,
                reading_id=None,
                at_ns=at_ns,
                details=details,
                by="scene",
            )

    def _finding(self, scanned: Scanned, label: str, side: Side) -> Finding:
        key = int(np.argmax(scanned.probabilities))
        evidence = [one for one in (key, key + 1) if one < len(scanned.slice_ids)]
        return Finding(
            label=label,
            side=side,
            key_slice_id=scanned.slice_ids[key],
            key_number=key + 1,
            evidence=tuple(scanned.slice_ids[one] for one in evidence),
        )

    def _one(
        self,
        scanned: Scanned,
        place: int,
        probability: float,
        hu: NDArray[np.int16],
        heat: NDArray[np.uint8] | None,
        pixel_mm: float,
        landed_ns: int,
    ) -> None:
        self.made += 1
        rows, columns = hu.shape
        stored = f"scene/{self.made}.dcm"
        place_file = (self.store / stored).with_suffix(".npy")
        place_file.parent.mkdir(parents=True, exist_ok=True)
        np.save(place_file, hu, allow_pickle=False)
        position_mm = 5.0 * place
        header = Header(
            sop_uid=f"2.25.77.{self.made}",
            study=scanned.facts,
            series=SeriesFacts(series_uid="2.25.1", sop_class_uid=CT_CLASS),
            geometry=SliceGeometry(
                rows=rows,
                columns=columns,
                pixel_mm=(pixel_mm, pixel_mm),
                row_direction=(1.0, 0.0, 0.0),
                column_direction=(0.0, 1.0, 0.0),
                corner_mm=(-rows * pixel_mm / 2, -columns * pixel_mm / 2, position_mm),
                position_mm=position_mm,
                tilt_deg=0.0,
                thickness_mm=5.0,
            ),
        )
        warm = heat if heat is not None else spot_heat() if probability > REVIEW_POINT else spot_heat() // 12
        score = SliceScore(
            logits=np.full(6, probability, dtype=np.float32),
            embedding=np.zeros(64, dtype=np.float32),
            heat=warm,
            probabilities=(probability, *(0.1 * probability,) * 5),
            box=BoxPlace(centre_rc=((rows - 1) / 2, (columns - 1) / 2), side_mm=max(rows, columns) * pixel_mm),
            peak_rc=None,
            has_brain=True,
            brain_hu=32.0,
            skull_area_mm2=9000.0,
            ms={},
        )
        with self.ledger.writing() as w:
            row = take_slice(
                w, scanned.series_id, header, f"{self.made:064x}", "f" * 64, stored, landed_ns, {"read": 4.0}
            )
            note_landing(w, scanned.study_id, scanned.series_id, landed_ns)
        commit_judgement(self.ledger, Judgement(at_ns=landed_ns, scores=(ScoredSlice(slice_id=row.id, score=score),)))
        scanned.slice_ids.append(row.id)
        scanned.probabilities.append(probability)


def _six(any_bleed: float, label: str) -> tuple[float, ...]:
    """The exam's probabilities: of any bleed, and of the kinds one that stands out."""
    return (any_bleed, *(round(0.94 * any_bleed, 3) if kind == label else 0.1 for kind in KINDS))


def raised(level: Level, *, final: bool = False) -> Step:
    """The first word of an alert."""
    return Step(happening=Happening.RAISED, level=level, finality=Finality.FINAL if final else Finality.PROVISIONAL)


def step(happening: Happening, level: Level, *, final: bool = True) -> Step:
    """Any later word of the machine."""
    return Step(happening=happening, level=level, finality=Finality.FINAL if final else Finality.PROVISIONAL)
