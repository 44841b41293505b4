"""DICOM files for tests, made here: one small head slice, and everything that can be wrong with it."""

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import ExplicitVRLittleEndian

CT = "1.2.840.10008.5.1.4.1.1.2"
ROOT = "1.2.826.0.1.3680043.10.1."  # of no one's objects
AIR, BRAIN, BONE = -1000, 35, 900


def head(size: int = 64) -> NDArray[np.int16]:
    """HU of a disc of brain in a ring of bone in air, with one bright mark that is in the upper left."""
    rows, columns = np.mgrid[:size, :size] - (size - 1) / 2
    away = np.hypot(rows, columns) / (size / 2)
    hu = np.where(away < 0.7, BRAIN, np.where(away < 0.85, BONE, AIR)).astype(np.int16)
    hu[size // 4 + 2, size // 4 + 4] = 700
    return hu


def slice_of(hu: NDArray[np.int16] | None = None, **changes: Any) -> Dataset:
    """A plain head slice, 12 bits of 16, intercept -1024; `changes` by keyword, None removes."""
    hu = head() if hu is None else hu
    ds = Dataset()
    ds.SpecificCharacterSet = "ISO_IR 100"
    ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    ds.SOPClassUID = CT
    ds.SOPInstanceUID = ROOT + "1"
    ds.StudyDate, ds.StudyTime = "20260102", "120000"
    ds.AcquisitionDate, ds.AcquisitionTime = "20260102", "120001.5"
    ds.AccessionNumber = "ACC1"
    ds.Modality = "CT"
    ds.Manufacturer, ds.ManufacturerModelName, ds.StationName = "MAKER", "MODEL 1", "ROOM2"
    ds.StudyDescription, ds.SeriesDescription = "CT HEAD", "HEAD 5.0"
    ds.PatientName, ds.PatientID, ds.PatientBirthDate, ds.PatientSex = "PHANTOM^ONE", "FAKE-0001", "19500102", "F"
    ds.BodyPartExamined = "HEAD"
    ds.SliceThickness, ds.KVP = "5", "120"
    ds.ConvolutionKernel = "STANDARD"
    ds.StudyInstanceUID, ds.SeriesInstanceUID = ROOT + "2", ROOT + "3"
    ds.SeriesNumber, ds.AcquisitionNumber, ds.InstanceNumber = "2", "1", "7"
    ds.ImagePositionPatient, ds.ImageOrientationPatient = ["-120", "-110", "30"], ["1", "0", "0", "0", "1", "0"]
    ds.FrameOfReferenceUID = ROOT + "4"
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.Rows, ds.Columns = hu.shape
    ds.PixelSpacing = ["0.5", "0.5"]
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 12, 11, 0
    ds.RescaleIntercept, ds.RescaleSlope = "-1024", "1"
    ds.PixelData = (hu.astype(np.int32) + 1024).astype("<u2").tobytes()
    for keyword, value in changes.items():
        if value is None:
            delattr(ds, keyword)
        else:
            setattr(ds, keyword, value)
    return ds


def stored(values: NDArray[Any]) -> bytes:
    """Cells as they lie in PixelData."""
    return values.astype("<i4").astype("<u2").tobytes()


def file_of(ds: Dataset, syntax: str = ExplicitVRLittleEndian, preamble: bool = True) -> bytes:
    """The file's bytes."""
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = syntax
    ds.file_meta.MediaStorageSOPClassUID = ds.get("SOPClassUID", CT)
    ds.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    out = io.BytesIO()
    ds.save_as(out, enforce_file_format=True)
    return out.getvalue() if preamble else out.getvalue()[132:]


def compressed(ds: Dataset, stream: bytes, syntax: str) -> bytes:
    """The file with its pixels replaced by a code stream."""
    ds.PixelData = encapsulate([stream])
    ds["PixelData"].VR = "OB"
    ds["PixelData"].is_undefined_length = True
    return file_of(ds, syntax)
