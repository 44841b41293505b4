"""Invented rows for tests of the ledger: no patient, no picture."""

from dataclasses import replace

import numpy as np

from appliance.core.headers import Header, Patient, SeriesFacts, SliceGeometry, StudyFacts
from appliance.core.ledger import AlertKey, FileRow, Finding, Identity, ReadingRow, SeriesRow, SliceRow, StudyRow
from appliance.core.slices import BoxPlace, SliceFacts, SliceScore
from appliance.core.words import FileVerdict, Finality, Outcome, SeriesVerdict, Side
from appliance.records.ledger import Connection
from appliance.records.series import open_series
from appliance.records.slices import take_slice
from appliance.records.studies import open_study

STUDY = StudyFacts(
    study_uid="2.25.1",
    patient=Patient(
        identity="FAKE-0001\\BOX", patient_id="FAKE-0001", name="PHANTOM^ONE", birth_date="1950-01-01", sex="F"
    ),
    accession="A1",
    description="CT HEAD",
    scanner="INVENTED One CT2",
    age_years=76.0,
)
SERIES = SeriesFacts(
    series_uid="2.25.1.1",
    sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
    modality="CT",
    image_type=("ORIGINAL", "PRIMARY", "AXIAL"),
    series_number=2,
    kernel=("H31s",),
    window_center=(40.0,),
    window_width=(80.0,),
    kvp=120.0,
)
KEY = AlertKey(kind="clinical", first="FAKE-0001\\BOX", second="2.25.1", third="head_ct")


def geometry(position_mm: float) -> SliceGeometry:
    return SliceGeometry(
        rows=512,
        columns=512,
        pixel_mm=(0.45, 0.45),
        row_direction=(1.0, 0.0, 0.0),
        column_direction=(0.0, 1.0, 0.0),
        corner_mm=(-115.0, -115.0, position_mm),
        position_mm=position_mm,
        tilt_deg=0.0,
        thickness_mm=5.0,
    )


def header(sop_uid: str, position_mm: float) -> Header:
    return Header(
        sop_uid=sop_uid, study=STUDY, series=SERIES, geometry=geometry(position_mm), acquired="20260101120000"
    )


def score(seed: int = 0) -> SliceScore:
    random = np.random.default_rng(seed)
    return SliceScore(
        logits=random.normal(size=6).astype(np.float32),
        embedding=random.normal(size=64).astype(np.float32),
        heat=random.integers(0, 256, (56, 56)).astype(np.uint8),
        probabilities=tuple(random.random(6).tolist()),
        box=BoxPlace(centre_rc=(250.5, 261.25), side_mm=224.0),
        peak_rc=None if seed % 2 else (101.5, 33.25),
        has_brain=True,
        brain_hu=33.5,
        skull_area_mm2=8123.75,
        ms={"prepare": 3.5, "engine": 7.25},
        facts=SliceFacts(
            inside_mm2=15012.5,
            inside_rc=None if seed % 2 else (249.5, 260.125),
            gap_mm=None if seed % 2 else 2.375,
            bright_spots=seed,
            metal_mm2=0.25,
            air_hu=-998.5,
            grey_step_hu=None,
        ),
    )


def reading(series_id: int, *, finality: Finality = Finality.FINAL, outcome: Outcome = Outcome.CRITICAL) -> ReadingRow:
    return ReadingRow(
        id=0,
        series_id=series_id,
        revision=1,
        finality=finality,
        probabilities=(0.1, 0.2, 0.3, 0.4, 0.5, 1 / 3),
        outcome=outcome,
        reasons=(("suspected-bleed", {"place": "under the dura", "side": "patient’s left"}),),
        slices=28,
        finding=Finding(label="sdh", side=Side.LEFT, key_slice_id=17, key_number=17, evidence=(16, 17)),
        engine_sha256="e" * 64,
        engine_name="head-ct 0.1.0",
        backend="onnxruntime",
        critical_point=0.9,
        review_point=0.5,
        made_ns=5,
    )


def file(path: str = "a.dcm", *, inode: int = 1, verdict: FileVerdict = FileVerdict.TAKEN, **more: object) -> FileRow:
    row = FileRow(
        path=path,
        identity=Identity(device=2, inode=inode, size=10, mtime_ns=3, ctime_ns=4),
        sha256="a" * 64,
        verdict=verdict,
        reason="" if verdict is FileVerdict.TAKEN else "truncated",
        landed_ns=5,
        study_uid=STUDY.study_uid,
    )
    return replace(row, **more)  # type: ignore[arg-type]


def opened(w: Connection) -> tuple[StudyRow, SeriesRow]:
    study = open_study(w, STUDY, 10)
    return study, open_series(w, study.id, SERIES, SeriesVerdict.READ, (), True, 10)


def taken(w: Connection, series_id: int, n: int) -> SliceRow:
    return take_slice(
        w, series_id, header(f"2.25.1.1.{n}", 5.0 * n), f"{n:064x}", "b" * 64, f"s/{n}", 20 + n, {"read": 4.5}
    )
