"""The reference that an engine may bring: made from prepared slices, written, vouched for, loaded, refused."""

import io
import shutil
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from appliance.core.familiar import strangeness
from appliance.inference.loading import load_engine
from appliance.inference.manifest import EngineRefused, read_engine
from appliance.reading.phantom_rows import phantom_geometry
from appliance.reading.references import embeddings_of, familiar_with, write_reference
from appliance.reading.slice_reader import prepare_slice, read_slice
from tests.phantom_exams import small_exam

FOLDER = Path(__file__).parents[2] / "engines" / "head-ct"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(FOLDER, tmp_path / "engine"))


def vouch(folder: Path, table: str) -> None:
    """Lets the manifest name the file, and say the table."""
    manifest = folder / "manifest.toml"
    said = sha256((folder / "reference.npz").read_bytes()).hexdigest()
    text = manifest.read_text(encoding="utf-8").replace("[files]\n", f'[files]\n"reference.npz" = "{said}"\n')
    manifest.write_text(text.replace("[golden]\n", f"{table}\n[golden]\n"), encoding="utf-8")


def refused(folder: Path) -> EngineRefused:
    with pytest.raises(EngineRefused) as caught:
        read_engine(folder)
    return caught.value


def test_an_engine_without_one_is_whole(folder: Path) -> None:
    assert read_engine(folder).card.familiar is None


def test_made_written_and_loaded(folder: Path) -> None:
    engine, exam = load_engine(FOLDER, threads=1), small_exam()
    indices = range(8, 26)
    prepared = [prepare_slice(exam.hu[n], phantom_geometry(exam, n), engine.card) for n in indices]
    scans = [embeddings_of(prepared[:6], engine.backend), embeddings_of(prepared[6:], engine.backend)]
    assert sum(len(scan) for scan in scans) == sum(one.anatomy.has_brain_in_skull for one in prepared)
    assert np.array_equal(scans[0][0], read_slice(engine, exam.hu[8], phantom_geometry(exam, 8)).embedding)

    made = familiar_with(scans, neighbours=3)
    vouch(folder, write_reference(folder, made))
    loaded = load_engine(folder, threads=1).card.familiar
    assert loaded is not None
    assert (loaded.neighbours, loaded.most) == (3, pytest.approx(made.most, abs=1e-6))
    assert loaded.reference == pytest.approx(made.reference, abs=1e-3)
    for scan in scans:  # kept in half precision: the same answer but for its rounding
        one = strangeness(scan, loaded.reference, 3)
        assert one == pytest.approx(strangeness(scan, made.reference, 3), abs=5e-3)


@pytest.mark.parametrize(
    ("embeddings", "said"),
    [
        (np.ones((2, 64), np.float16), "at least 5"),
        (np.ones((9, 63), np.float16), "embeddings"),
        (np.full((9, 64), np.nan, np.float16), "finite"),
        (None, "holds no embeddings"),
    ],
)
def test_one_that_cannot_be(folder: Path, embeddings: np.ndarray | None, said: str) -> None:  # type: ignore[type-arg]
    held = io.BytesIO(b"no archive")
    if embeddings is not None:
        np.savez_compressed(held, embeddings=embeddings)
    (folder / "reference.npz").write_bytes(held.getvalue())
    vouch(folder, "[familiar]\nneighbours = 5\nmost = 0.4\n")
    fault = refused(folder)
    assert fault.reason == "engine-fault" and said in fault.message


def test_a_table_without_its_file_and_a_file_that_was_changed(folder: Path) -> None:
    np.savez_compressed(folder / "reference.npz", embeddings=np.ones((9, 64), np.float16))
    vouch(folder, "")
    assert "go together" in refused(folder).message
    vouch_again = (folder / "manifest.toml").read_text(encoding="utf-8")
    (folder / "manifest.toml").write_text(
        vouch_again.replace("[golden]\n", "[familiar]\nneighbours = 5\nmost = 0.4\n\n[golden]\n"), encoding="utf-8"
    )
    assert read_engine(folder).card.familiar is not None
    (folder / "reference.npz").write_bytes(b"other")
    assert refused(folder).reason == "engine-changed"
