"""Part (b): each stage of a slice's way by itself, in one process that does nothing else.

Commits are real: a ledger and a store on the disk that the benchmark's folder lies on, synced as in service.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from appliance.bench.codecs import packings
from appliance.bench.figures import row, timed
from appliance.bench.run import Run
from appliance.core.completeness import Complete
from appliance.core.headers import Header
from appliance.core.ledger import FileRow, Identity, Judgement, OutcomeSaid, ScoredSlice, SeriesRow, SliceRow
from appliance.core.slices import SliceScore
from appliance.core.words import FileVerdict, SeriesVerdict
from appliance.exams.head_ct.anatomy import find_anatomy
from appliance.imaging.fields import Fields
from appliance.imaging.hounsfield import to_hounsfield
from appliance.imaging.opening import open_file
from appliance.imaging.picture import picture_spec, rescale_of
from appliance.imaging.pixels import cells_of
from appliance.imaging.placing import place
from appliance.imaging.reading import read_bytes
from appliance.inference.loading import LoadedEngine
from appliance.phantoms.dicom import PhantomFile
from appliance.processes.clock import now
from appliance.reading.prepare import prepare
from appliance.reading.series_reader import early_level, read_whole
from appliance.reading.slice_reader import read_slice
from appliance.records.files import record_file
from appliance.records.judgement import commit_judgement
from appliance.records.ledger import Ledger
from appliance.records.series import open_series
from appliance.records.slices import take_slice
from appliance.records.studies import note_landing, open_study
from appliance.records.upgrade import upgrade
from appliance.store.shelf import Shelf, shelf_name


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How long each stage is measured."""

    runs: int
    within_s: float


def measure_stages(
    files: Sequence[PhantomFile], engine: LoadedEngine, folder: Path, pace: Pace, run: Run
) -> Iterator[dict[str, Any]]:
    """The rows of every stage, in the order of a slice's way. `files`: one series with a bleed; `folder` is empty."""
    middle = files[len(files) // 2].data
    yield from _reading(middle, pace, run)
    yield from _preparing(middle, engine, pace, run)
    yield from _keeping(files, engine, folder, pace, run)


def _stage(pace: Pace, run: Run, row_id: str, said: str, call: Callable[[], object], **more: Any) -> dict[str, Any]:
    return row(f"stage/{row_id}", said, timed(call, runs=pace.runs, within_s=pace.within_s, done=run.count), **more)


def _reading(data: bytes, pace: Pace, run: Run) -> Iterator[dict[str, Any]]:
    """What a reader's child does with a file: structure and header, pixels by transfer syntax, Hounsfield values."""

    def parse(packed: bytes) -> Fields:
        opened = open_file(packed)
        fields = Fields(opened.body, opened.walk)
        spec = picture_spec(fields)
        rescale_of(fields, spec)
        place(fields, spec.rows, spec.columns)
        return fields

    yield _stage(pace, run, "parse", "parse: structure and header", lambda: parse(data))
    for uid, (said, packed) in packings(data).items():
        opened = open_file(packed)
        assert opened.syntax is not None
        fields = Fields(opened.body, opened.walk)
        spec = picture_spec(fields)
        decode = partial(cells_of, fields, spec, opened.syntax)
        more = {"syntax": uid, "file_bytes": len(packed)}
        if opened.syntax.deflated:  # the whole data set is packed, so that unpacking it is the opening
            yield _stage(pace, run, f"decode/{uid}", f"decode: {said} (inflate)", partial(open_file, packed), **more)
        else:
            yield _stage(pace, run, f"decode/{uid}", f"decode: {said}", decode, **more)
    fields = parse(data)
    spec = picture_spec(fields)
    syntax = open_file(data).syntax
    assert syntax is not None
    cells, rescale = cells_of(fields, spec, syntax), rescale_of(fields, spec)
    yield _stage(pace, run, "hounsfield", "to Hounsfield values", lambda: to_hounsfield(cells, spec, rescale))
    yield _stage(
        pace, run, "read", "the whole reading of an uncompressed file, hash of its pixels too", lambda: read_bytes(data)
    )


def _preparing(data: bytes, engine: LoadedEngine, pace: Pace, run: Run) -> Iterator[dict[str, Any]]:
    """What triage does with Hounsfield values."""
    read = read_bytes(data)
    assert read.hu is not None and read.header is not None and read.header.geometry is not None
    hu, geometry = read.hu, read.header.geometry
    spec = engine.card.input
    anatomy = find_anatomy(hu, geometry.pixel_mm)
    image = prepare(hu, geometry.pixel_mm, anatomy, spec)
    yield _stage(pace, run, "anatomy", "find skull and brain", lambda: find_anatomy(hu, geometry.pixel_mm))
    yield _stage(
        pace, run, "prepare", "prepare: head's box and windows", lambda: prepare(hu, geometry.pixel_mm, anatomy, spec)
    )
    yield _stage(pace, run, "infer", "infer: the engine", lambda: engine.backend.run(image))
    yield _stage(pace, run, "score", "all of a slice's score together", lambda: read_slice(engine, hu, geometry))


def _keeping(
    files: Sequence[PhantomFile], engine: LoadedEngine, folder: Path, pace: Pace, run: Run
) -> Iterator[dict[str, Any]]:
    """Store, rows, aggregation, and the commit of what follows from a slice."""
    upgrade(folder / "ledger.sqlite")
    shelf = Shelf(folder / "store")
    numbers = itertools.count()
    with Ledger.open(folder / "ledger.sqlite") as ledger:
        series, rows, header = _taken(files, engine, ledger, shelf)
        data = files[0].data
        hu = np.load(shelf.hounsfield_path(rows[0].stored))

        def put() -> None:
            name = shelf_name(
                study_uid=header.study.study_uid, series_uid=header.series.series_uid, sop_uid=header.sop_uid,
                file_sha256=sha256(str(next(numbers)).encode()).hexdigest(),
            )  # fmt: skip
            shelf.put(data, name)
            shelf.put_hounsfield(hu, name)

        def take() -> None:
            number = next(numbers)
            _take(ledger, series, header, f"again-{number}", sha256(str(number).encode()).hexdigest())

        yield _stage(pace, run, "store", "store: durable copy and Hounsfield values", put)
        yield _stage(pace, run, "take", "commit: a slice's rows", take)
        points = engine.card
        yield _stage(
            pace, run, "aggregate-early", "aggregate: is there evidence yet", lambda: early_level(rows, points)
        )
        yield _stage(
            pace, run, "aggregate-final", "aggregate: the whole exam",
            lambda: read_whole(rows, points, complete=Complete.PROVEN),
        )  # fmt: skip
        whole = read_whole(rows, points, complete=Complete.PROVEN)
        scores = itertools.cycle([(one.id, one.score) for one in rows if one.score is not None])

        def judge() -> None:
            slice_id, score = next(scores)
            commit_judgement(ledger, _judgement(series, slice_id, score, whole.outcome, whole.reasons))

        yield _stage(pace, run, "commit", "commit: a score and the standing outcome, synced", judge)


def _judgement(series: SeriesRow, slice_id: int, score: SliceScore, outcome: Any, reasons: Any) -> Judgement:
    said = OutcomeSaid(study_id=series.study_id, outcome=outcome, reasons=reasons)
    scored = ScoredSlice(slice_id=slice_id, score=score, ms=score.ms)
    return Judgement(at_ns=now().wall_ns, scores=(scored,), outcome=said)


def _taken(
    files: Sequence[PhantomFile], engine: LoadedEngine, ledger: Ledger, shelf: Shelf
) -> tuple[SeriesRow, list[SliceRow], Header]:
    """The whole series in ledger and store, each slice scored: what a series looks like when it is judged."""
    series: SeriesRow | None = None
    header: Header | None = None
    rows: list[SliceRow] = []
    for file in files:
        read = read_bytes(file.data)
        assert read.header is not None and read.hu is not None and read.header.geometry is not None
        header = read.header
        if series is None:
            with ledger.writing() as write:
                study = open_study(write, header.study, now().wall_ns)
                series = open_series(write, study.id, header.series, SeriesVerdict.READ, (), True, now().wall_ns)
        file_sha256 = sha256(file.data).hexdigest()
        name = shelf_name(
            study_uid=header.study.study_uid, series_uid=header.series.series_uid, sop_uid=header.sop_uid,
            file_sha256=file_sha256,
        )  # fmt: skip
        shelf.put(file.data, name)
        shelf.put_hounsfield(read.hu, name)
        row_ = _take(ledger, series, header, name, file_sha256)
        rows.append(replace(row_, score=read_slice(engine, read.hu, read.header.geometry)))
    assert series is not None and header is not None
    return series, rows, header


def _take(ledger: Ledger, series: SeriesRow, header: Header, name: str, file_sha256: str) -> SliceRow:
    """The transaction by which a slice becomes safe: its file's row and its own."""
    at_ns = now().wall_ns
    with ledger.writing() as write:
        record_file(
            write,
            FileRow(
                path=name,
                identity=Identity(device=1, inode=at_ns % 2**40, size=1, mtime_ns=at_ns, ctime_ns=at_ns),
                sha256=file_sha256,
                verdict=FileVerdict.TAKEN,
                reason="",
                landed_ns=at_ns,
                study_uid=header.study.study_uid,
            ),
        )
        taken = take_slice(
            write, series.id, header, pixel_sha256=file_sha256, file_sha256=file_sha256, stored=name, landed_ns=at_ns,
            ms={},
        )  # fmt: skip
        note_landing(write, series.study_id, series.id, at_ns)
    return taken
