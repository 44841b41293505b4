"""A phantom exam as the ledger would hold its slices: what `training` and `building` read, by the code that reads live."""

from appliance.core.headers import SliceGeometry
from appliance.core.ledger import SliceRow
from appliance.core.slices import SliceScore
from appliance.phantoms.exam import PhantomExam


def phantom_geometry(exam: PhantomExam, index: int) -> SliceGeometry:
    """Where the slice of this index lies: axial, its middle on the axis of the scanner."""
    rows, columns = exam.hu.shape[1:]
    place_mm = float(exam.positions_mm[index])
    corner_mm = (-0.5 * (columns - 1) * exam.pixel_mm, -0.5 * (rows - 1) * exam.pixel_mm, place_mm)
    return SliceGeometry(
        rows=rows,
        columns=columns,
        pixel_mm=(exam.pixel_mm, exam.pixel_mm),
        row_direction=(1.0, 0.0, 0.0),
        column_direction=(0.0, 1.0, 0.0),
        corner_mm=corner_mm,
        position_mm=place_mm,
        tilt_deg=0.0,
        thickness_mm=exam.scanner.thickness_mm,
    )


def phantom_row(index: int, geometry: SliceGeometry, score: SliceScore) -> SliceRow:
    """The scored slice of this index, counted from 0, as a row of a series of its own. Ids count from 1."""
    return SliceRow(
        id=index + 1,
        series_id=1,
        sop_uid=f"{index:04d}",
        pixel_sha256=f"{index:064x}",
        file_sha256=f"{index:064x}",
        stored="",
        geometry=geometry,
        instance_number=index + 1,
        acquisition_number=None,
        acquired="",
        corrections=(),
        landed_ns=0,
        score=score,
        ms={},
    )
