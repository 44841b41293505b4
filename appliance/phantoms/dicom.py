"""Phantom exams as DICOM files, with the header a head CT has; every name and number in it is invented."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian, SecondaryCaptureImageStorage

from appliance.phantoms.exam import PhantomExam

IMPLEMENTATION_UID = "2.25.286194827361904523781905523647189023"


def phantom_uid(seed: int, token: str) -> str:
    """Return a UID under 2.25 that depends on `seed` and `token` alone: the same words give the same study."""
    digest = hashlib.sha256(f"{seed}/{token}".encode()).digest()
    return f"2.25.{int.from_bytes(digest[:16], 'big') >> 1}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """The header of a phantom study. Dates and times are DICOM strings, passed in by the caller."""

    seed: int
    token: str = ""  # makes distinct studies of one seed
    patient_name: str = "PHANTOM^ONE"
    patient_id: str = "FAKE-0001"
    accession: str = "FAKE-A1"
    age: str = "060Y"
    birth_date: str = "19660101"
    sex: str = "F"
    date: str = "20260101"
    time: str = "120000"
    description: str = "CT HEAD WITHOUT CONTRAST (PHANTOM)"

    @property
    def uid(self) -> str:
        """The StudyInstanceUID."""
        return phantom_uid(self.seed, f"study/{self.token}")


@dataclass(frozen=True, slots=True, kw_only=True)
class PhantomFile:
    """One DICOM file: bytes, its SOPInstanceUID and its place in the series."""

    sop_uid: str
    number: int
    data: bytes


def exam_files(
    exam: PhantomExam,
    study: Study,
    *,
    series_number: int = 2,
    series_token: str = "",
    description: str = "HEAD 5.0 SOFT",
    kernel: str = "H31s",
    clean: bool = False,
    acquired: str | None = None,
) -> list[PhantomFile]:
    """Return the exam's slices as CT files, lowest first; `clean` gives the twin without bleeds.

    `acquired` is the acquisition's time (DICOM TM); the study's own when None.
    """
    hu = exam.clean_hu if clean else exam.hu
    series_uid = phantom_uid(study.seed, f"series/{study.token}/{series_number}/{series_token}")
    files = []
    for index in range(hu.shape[0]):
        ds = _header(study, CTImageStorage, phantom_uid(study.seed, f"{series_uid}/{index}"))
        ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
        _series(ds, study, series_uid, series_number, description, index + 1)
        ds.AcquisitionDate, ds.AcquisitionTime = study.date, acquired or study.time
        ds.ConvolutionKernel = kernel
        ds.KVP, ds.GantryDetectorTilt = "120", "0"
        ds.SliceThickness = f"{exam.scanner.thickness_mm:g}"
        ds.ImagesInAcquisition = str(hu.shape[0])
        _place(ds, exam, float(exam.positions_mm[index]), hu.shape[1:], study)
        _pixels(ds, hu[index])
        files.append(PhantomFile(sop_uid=str(ds.SOPInstanceUID), number=index + 1, data=_bytes(ds)))
    return files


def localizer_file(exam: PhantomExam, study: Study) -> PhantomFile:
    """Return a side view of the same head as a localizer: a CT image that no engine should read."""
    view = exam.hu.astype(np.float32).mean(axis=2)[::-1]
    rows = np.repeat(view, max(1, 512 // view.shape[0]), axis=0)
    series_uid = phantom_uid(study.seed, f"series/{study.token}/localizer")
    ds = _header(study, CTImageStorage, phantom_uid(study.seed, f"{series_uid}/0"))
    ds.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    _series(ds, study, series_uid, 1, "TOPOGRAM", 1)
    ds.KVP = "120"
    ds.FrameOfReferenceUID = phantom_uid(study.seed, f"frame/{study.token}")
    ds.ImagePositionPatient = ["0", f"{-0.5 * view.shape[1] * exam.pixel_mm:.4f}", f"{exam.positions_mm[-1]:.4f}"]
    ds.ImageOrientationPatient = ["0", "1", "0", "0", "0", "-1"]
    ds.PixelSpacing = [f"{exam.pixel_mm:.6f}", f"{exam.pixel_mm:.6f}"]
    _pixels(ds, np.rint(rows).astype(np.int16))
    return PhantomFile(sop_uid=str(ds.SOPInstanceUID), number=1, data=_bytes(ds))


def bone_files(exam: PhantomExam, study: Study) -> list[PhantomFile]:
    """Return the same slices as a sharp reconstruction: noisy, with a bone kernel's name."""
    rng = np.random.default_rng([exam.seed, 5])
    sharp = exam.clean_hu + rng.normal(0.0, 30.0, exam.clean_hu.shape)
    bone = PhantomExam(
        hu=np.clip(np.rint(sharp), -1024, 3071).astype(np.int16),
        clean_hu=exam.clean_hu,
        positions_mm=exam.positions_mm,
        pixel_mm=exam.pixel_mm,
        labels=exam.labels,
        faint=exam.faint,
        lesions=exam.lesions,
        volumes_ml=exam.volumes_ml,
        scanner=exam.scanner,
        seed=exam.seed,
    )
    return exam_files(bone, study, series_number=3, series_token="bone", description="HEAD BONE", kernel="H70h")


def summary_file(study: Study) -> PhantomFile:
    """Return a page of the console as a secondary capture."""
    page = np.zeros((256, 256), dtype=np.int16)
    page[24:232:16, 24:200] = 200
    series_uid = phantom_uid(study.seed, f"series/{study.token}/summary")
    ds = _header(study, SecondaryCaptureImageStorage, phantom_uid(study.seed, f"{series_uid}/0"))
    ds.ImageType = ["DERIVED", "SECONDARY", "OTHER"]
    _series(ds, study, series_uid, 501, "PATIENT PROTOCOL", 1)
    ds.ConversionType = "WSD"
    _pixels(ds, page, rescale=False)
    return PhantomFile(sop_uid=str(ds.SOPInstanceUID), number=1, data=_bytes(ds))


def unsuitable_files(exam: PhantomExam, study: Study) -> list[PhantomFile]:
    """Return a study that must not be analysed: a localizer, a bone series and a summary page."""
    return [localizer_file(exam, study), *bone_files(exam, study), summary_file(study)]


def write_files(files: Iterable[PhantomFile], folder: Path) -> list[Path]:
    """Write files as IM-0001.dcm, IM-0002.dcm ... into a folder, in the order given."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for count, file in enumerate(files, start=1):
        path = folder / f"IM-{count:04d}.dcm"
        path.write_bytes(file.data)
        paths.append(path)
    return paths


def _header(study: Study, sop_class: str, sop_uid: str) -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = UID(sop_class)
    meta.MediaStorageSOPInstanceUID = UID(sop_uid)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = UID(IMPLEMENTATION_UID)
    ds = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.SOPClassUID, ds.SOPInstanceUID = sop_class, sop_uid
    ds.StudyInstanceUID = study.uid
    ds.StudyDate = ds.SeriesDate = ds.ContentDate = study.date
    ds.StudyTime = ds.SeriesTime = ds.ContentTime = study.time
    ds.StudyDescription, ds.AccessionNumber, ds.StudyID = study.description, study.accession, "1"
    ds.PatientName, ds.PatientID, ds.PatientAge = study.patient_name, study.patient_id, study.age
    ds.PatientBirthDate, ds.PatientSex, ds.ReferringPhysicianName = study.birth_date, study.sex, ""
    ds.Manufacturer, ds.ManufacturerModelName, ds.InstitutionName = "BLEEDWATCH", "PHANTOM", "NOWHERE"
    return ds


def _series(ds: FileDataset, study: Study, uid: str, number: int, description: str, instance: int) -> None:
    ds.Modality, ds.BodyPartExamined, ds.PatientPosition = "CT", "HEAD", "HFS"
    ds.SeriesInstanceUID, ds.SeriesNumber, ds.SeriesDescription = uid, str(number), description
    ds.InstanceNumber, ds.AcquisitionNumber = str(instance), "1"
    ds.ProtocolName = "HEAD ROUTINE"


def _place(ds: FileDataset, exam: PhantomExam, z_mm: float, shape: tuple[int, ...], study: Study) -> None:
    spacing = f"{exam.pixel_mm:.6f}"
    ds.FrameOfReferenceUID = phantom_uid(study.seed, f"frame/{study.token}")
    ds.ImageOrientationPatient = ["1", "0", "0", "0", "1", "0"]
    corner = [-0.5 * (side - 1) * exam.pixel_mm for side in (shape[1], shape[0])]
    ds.ImagePositionPatient = [f"{corner[0]:.4f}", f"{corner[1]:.4f}", f"{z_mm:.4f}"]
    ds.SliceLocation = f"{z_mm:.4f}"
    ds.PixelSpacing = [spacing, spacing]


def _pixels(ds: FileDataset, values: NDArray[np.int16], *, rescale: bool = True) -> None:
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.Rows, ds.Columns = values.shape
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 12, 11, 0
    stored = values.astype(np.int32)
    if rescale:
        ds.RescaleSlope, ds.RescaleIntercept, ds.RescaleType = "1", "-1024", "HU"
        ds.WindowCenter, ds.WindowWidth = "40", "80"
        stored = stored + 1024
    ds.PixelData = np.clip(stored, 0, 4095).astype("<u2").tobytes()


def _bytes(ds: FileDataset) -> bytes:
    buffer = BytesIO()
    ds.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()
