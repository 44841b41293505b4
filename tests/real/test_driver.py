"""Asking the driver for its cards, over a stand-in of libcuda and without any."""

import subprocess
from pathlib import Path

import pytest

from appliance.inference.driver import Gpu, probe, probe_apart
from tests.real.gpu import make_standins


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the stand-in of the driver."""
    folder = tmp_path_factory.mktemp("driver")
    make_standins(folder)
    return folder


def test_cards_are_shown_as_the_driver_says_them(library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STANDIN_CUDA_CARDS", "2")
    driver = probe(str(library / "libcuda.so.1"))
    assert driver.version == "13.0" and driver.said == ""
    first, second = driver.gpus
    assert first == Gpu(
        index=0,
        name="Stand-in 9000",
        compute_capability="9.0",
        sm_count=132,
        memory_bytes=80 << 30,
        uuid="00010203-0405-0607-0809-0a0b0c0d0e0f",
    )
    assert (second.index, second.uuid[:8]) == (1, "01020304")


def test_from_a_process_of_its_own_it_says_the_same(library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LD_LIBRARY_PATH", str(library))
    assert probe_apart(timeout_s=60) == probe(str(library / "libcuda.so.1"))


def test_a_driver_that_hangs_costs_no_more_than_the_deadline(library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LD_LIBRARY_PATH", str(library))
    monkeypatch.setenv("STANDIN_CUDA_INIT", "hang")
    driver = probe_apart(timeout_s=1.0)
    assert driver.gpus == ()
    assert "not answered within 1 s" in driver.said and "restart" in driver.said


def test_no_driver_is_said(tmp_path: Path) -> None:
    driver = probe(str(tmp_path / "libcuda.so.1"))
    assert driver.gpus == () and "no NVIDIA driver" in driver.said


def test_a_python_that_is_not_there_is_said() -> None:
    assert "/nowhere/python3 cannot be started" in probe_apart("/nowhere/python3").said


@pytest.mark.parametrize(
    ("code", "said"),
    [("100", "no card"), ("803", "updated while it ran"), ("999", "off the bus"), ("77", "answered 77")],
)
def test_each_refusal_of_the_driver_says_what_to_do(
    library: Path, monkeypatch: pytest.MonkeyPatch, code: str, said: str
) -> None:
    monkeypatch.setenv("STANDIN_CUDA_INIT", code)
    driver = probe(str(library / "libcuda.so.1"))
    assert driver.gpus == () and said in driver.said and code in driver.said


def test_a_driver_without_cards_is_said(library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STANDIN_CUDA_CARDS", "0")
    driver = probe(str(library / "libcuda.so.1"))
    assert driver.gpus == () and "shows no card" in driver.said


def test_a_library_that_is_no_driver_is_said(tmp_path: Path) -> None:
    """A stub of a toolkit, or one from another age: a call that is not there is no crash."""
    source = tmp_path / "stub.c"
    source.write_text("int cuInit(unsigned int flags) { return (int)flags; }\n")
    stub = tmp_path / "libcuda.so.1"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", str(stub), str(source)], check=True)
    assert "has no cuDriverGetVersion" in probe(str(stub)).said
