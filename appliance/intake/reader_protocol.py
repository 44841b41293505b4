"""What reader and pool say to each other: a `ReadFile` as JSON and raw pixels, and back again with every type checked.

The child reads hostile files, so what it says is believed no more than they are.
"""

import math
from dataclasses import asdict
from typing import Any, Final

import numpy as np

from appliance.core.headers import Header, Patient, SeriesFacts, SliceGeometry, StudyFacts, Vector
from appliance.core.reads import ReadFile
from appliance.core.words import FileVerdict
from appliance.processes.children import Frame, GarbledFrame

MAX_PIXELS: Final = 1 << 28  # bytes of one answer's picture: 4096 x 4096, stretched to four times its width, twice


def packed_read(read: ReadFile) -> tuple[dict[str, Any], memoryview]:
    """Head and body of the answer."""
    head = {
        "verdict": read.verdict.value,
        "reason": read.reason,
        "details": list(map(list, read.details)),
        "study_uid": read.study_uid,
        "pixel_sha256": read.pixel_sha256,
        "header": asdict(read.header) if read.header is not None else None,
    }
    if read.hu is None:
        return head, memoryview(b"")
    return head, read.hu.data.cast("B")


def unpacked_read(frame: Frame) -> ReadFile:
    """The answer of a child. GarbledFrame where anything in it is not what it must be. `hu` is read-only."""
    try:
        return _read(frame)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise GarbledFrame from error


def _read(frame: Frame) -> ReadFile:
    head = frame.head
    header = _header(head["header"]) if head["header"] is not None else None
    hu = None
    if frame.body:
        if header is None or header.geometry is None:
            raise GarbledFrame
        shape = header.geometry.rows, header.geometry.columns
        hu = np.frombuffer(frame.body, np.int16).reshape(shape)
    read = ReadFile(
        verdict=FileVerdict(head["verdict"]),
        reason=_text(head["reason"]),
        details=tuple((_text(key), _text(value)) for key, value in head["details"]),
        header=header,
        study_uid=_text(head["study_uid"]),
        hu=hu,
        pixel_sha256=_text(head["pixel_sha256"]),
    )
    if (read.verdict is FileVerdict.TAKEN) is (hu is None):
        raise GarbledFrame
    return read


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise GarbledFrame
    return value


def _texts(values: Any) -> tuple[str, ...]:
    return tuple(_text(value) for value in values)


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise GarbledFrame
    return float(value)


def _maybe_number(value: Any) -> float | None:
    return None if value is None else _number(value)


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise GarbledFrame
    return value


def _maybe_whole(value: Any) -> int | None:
    return None if value is None else _whole(value)


def _numbers(values: Any) -> tuple[float, ...]:
    return tuple(_number(value) for value in values)


def _vector(values: Any) -> Vector:
    x, y, z = _numbers(values)
    return x, y, z


def _header(said: dict[str, Any]) -> Header:
    return Header(
        sop_uid=_text(said["sop_uid"]),
        study=_study(said["study"]),
        series=_series(said["series"]),
        geometry=_geometry(said["geometry"]) if said["geometry"] is not None else None,
        instance_number=_maybe_whole(said["instance_number"]),
        acquisition_number=_maybe_whole(said["acquisition_number"]),
        acquired=_text(said["acquired"]),
        syntax_uid=_text(said["syntax_uid"]),
        corrections=_texts(said["corrections"]),
    )


def _study(said: dict[str, Any]) -> StudyFacts:
    return StudyFacts(
        study_uid=_text(said["study_uid"]),
        patient=Patient(**{key: _text(value) for key, value in said["patient"].items()}),
        accession=_text(said["accession"]),
        description=_text(said["description"]),
        scanner=_text(said["scanner"]),
        age_years=_maybe_number(said["age_years"]),
    )


def _series(said: dict[str, Any]) -> SeriesFacts:
    return SeriesFacts(
        series_uid=_text(said["series_uid"]),
        sop_class_uid=_text(said["sop_class_uid"]),
        modality=_text(said["modality"]),
        image_type=_texts(said["image_type"]),
        series_number=_maybe_whole(said["series_number"]),
        description=_text(said["description"]),
        protocol=_text(said["protocol"]),
        body_part=_text(said["body_part"]),
        kernel=_texts(said["kernel"]),
        contrast_agent=_text(said["contrast_agent"]),
        rescale_type=_text(said["rescale_type"]),
        frame_of_reference_uid=_text(said["frame_of_reference_uid"]),
        window_center=_numbers(said["window_center"]),
        window_width=_numbers(said["window_width"]),
        kvp=_maybe_number(said["kvp"]),
        multi_energy=said["multi_energy"] is True,
        images_in_acquisition=_maybe_whole(said["images_in_acquisition"]),
    )


def _geometry(said: dict[str, Any]) -> SliceGeometry:
    between_rows, between_columns = _numbers(said["pixel_mm"])
    return SliceGeometry(
        rows=_whole(said["rows"]),
        columns=_whole(said["columns"]),
        pixel_mm=(between_rows, between_columns),
        row_direction=_vector(said["row_direction"]),
        column_direction=_vector(said["column_direction"]),
        corner_mm=_vector(said["corner_mm"]),
        position_mm=_number(said["position_mm"]),
        tilt_deg=_number(said["tilt_deg"]),
        thickness_mm=_maybe_number(said["thickness_mm"]),
    )
