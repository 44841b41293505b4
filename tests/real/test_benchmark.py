"""The benchmark as a person starts it: its figures add up, its report needs nothing else, what it lacks it says."""

import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from markupsafe import escape
from rich.console import Console

from appliance.bench.against import SECTIONS, compare
from appliance.bench.browser import why_none
from appliance.bench.command import Wish, run_benchmark
from appliance.bench.onnx_graph import product_model
from appliance.bench.report import page_of
from appliance.bench.table import show
from appliance.bench.work import NotCounted, work_of
from appliance.core.errors import CannotStart
from appliance.core.status import PROGRAMS
from tests.real.appliance import ENGINE
from tests.real.benchmarks import GLIMPSE, SLICES

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = ROOT / "docs" / "schemas" / "benchmark.md"
WITHIN_S = 240


def run(folder: Path, *earlier: Path, **environment: str) -> tuple[dict[str, Any], str, str]:
    """The document, the report and what stood on standard error."""
    document, html = folder / "document.json", folder / "report.html"
    done = subprocess.run(
        [sys.executable, "-m", "tests.real.benchmarks", str(document), str(html), *map(str, earlier)],
        cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, timeout=WITHIN_S, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(document.read_text()), html.read_text(), done.stderr


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], str]:
    """A glimpse, with a browser where there is one."""
    document, html, _ = run(tmp_path_factory.mktemp("first"))
    return document, html


@pytest.fixture(scope="module")
def without_browser(
    first: tuple[dict[str, Any], str], tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, Any], str]:
    """Another, on a machine without a browser, compared with the first."""
    folder = tmp_path_factory.mktemp("second")
    earlier = folder / "earlier.json"
    earlier.write_text(json.dumps(first[0]))
    document, html, _ = run(folder, earlier, PATH=str(folder))
    return document, html


def rows_of(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for section in SECTIONS:
        yield from document[section]


@pytest.mark.slow
def test_every_figure_adds_up(first: tuple[dict[str, Any], str]) -> None:
    document, _ = first
    rows = list(rows_of(document))
    assert len({row["id"] for row in rows}) == len(rows)
    for row in rows:
        values = [row[name] for name in ("min_ms", "p50_ms", "p95_ms", "p99_ms", "max_ms")]
        assert values == sorted(values) and values[0] >= 0, row["id"]
        edges, counts = row["histogram"]["edges_ms"], row["histogram"]["counts"]
        assert sum(counts) == row["n"] > 0 and len(edges) == len(counts) + 1, row["id"]
        assert edges[0] <= max(row["min_ms"], 1e-6) and edges[-1] >= row["max_ms"]


@pytest.mark.slow
def test_every_part_is_there(first: tuple[dict[str, Any], str]) -> None:
    document, _ = first
    ids = {row["id"]: row for row in rows_of(document)}
    serves = [row for row in document["engine_alone"] if row["backend"].endswith("as it serves")]
    assert [row["batch"] for row in serves if row["part"] == "warm"] == [1, 2, 4, 8]
    assert {row["id"].split("/")[-1] for row in serves if row["part"] == "cold"} == {"load", "cold-run"}
    for row in serves:
        if row["part"] == "warm":
            assert row["n"] == GLIMPSE.engine.runs and row["takes_at_once"] == 1
            assert row["times_floor"] == pytest.approx(row["p50_ms"] / row["floor_ms"])
            assert bool(row["note"]) == (row["batch"] > 1), "a batch that is none says so"
    assert {row["id"].split("/")[1] for row in document["stages"]} >= {
        *("parse", "decode", "hounsfield", "anatomy", "prepare", "infer", "store", "take", "commit"),
        *("aggregate-early", "aggregate-final"),
    }
    assert len([one for one in document["stages"] if "syntax" in one]) == 7
    alone = "whole/20-a-second/1"
    assert ids[f"{alone}/landed-to-score"]["n"] == SLICES
    assert ids["whole/burst/2/landed-to-score"]["n"] == 2 * SLICES
    for name in ("evidence-to-alert", "alert-to-page", "evidence-to-page", "last-to-final", "evidence-to-message"):
        assert ids[f"{alone}/{name}"]["n"] == 1 and ids[f"{alone}/{name}"]["missing"] == 0, name
        assert ids[f"whole/burst/2/{name}"]["n"] == 2, name
    assert document["served_by"].split()[0] in ("onnxruntime", "tensorrt")
    assert set(document["idle"]) == set(document["memory"]) == set(PROGRAMS)
    assert all(one["rss_mib"] > 10 and one["cpu_percent"] >= 0 for one in document["idle"].values())
    assert document["idle"]["triage"]["processes"] > 1, "its readers count too"
    assert {row["id"] for row in document["cold_start"]} == {f"start/{one}" for one in (*PROGRAMS, "all")}
    assert document["busy"]["before"]["load"] and document["busy"]["after"]["load"]


@pytest.mark.slow
def test_the_browser_saw_the_alert_after_its_commit(first: tuple[dict[str, Any], str]) -> None:
    document, _ = first
    painted = [row for row in document["whole"] if row["id"].endswith("-browser/evidence-to-browser")]
    if why_none():
        assert not painted
        pytest.skip(why_none())
    assert [row["n"] for row in painted] == [1] and painted[0]["min_ms"] > 0


@pytest.mark.slow
def test_the_waterfall_holds_one_whole_exam_in_order(first: tuple[dict[str, Any], str]) -> None:
    fall = first[0]["waterfall"]
    assert len(fall["slices"]) == SLICES
    for one in fall["slices"]:
        assert one["due_ms"] <= one["landed_ms"] < one["scored_ms"]
        assert sum(one["ms"].values()) <= one["scored_ms"] - one["due_ms"], "stages are no longer than the slice's way"
        assert set(one["ms"]) == set(fall["parts"])
    evidence = [one for one in fall["slices"] if one["evidence"]]
    assert len(evidence) == 1
    assert evidence[0]["due_ms"] < fall["alert_ms"] <= fall["final_ms"]
    assert fall["page_ms"] > evidence[0]["due_ms"]


@pytest.mark.slow
def test_without_a_browser_it_says_so_and_goes_on(without_browser: tuple[dict[str, Any], str]) -> None:
    document, html = without_browser
    left_out = [one for one in document["not_measured"] if "browser" in one["what"]]
    assert len(left_out) == 1 and left_out[0]["why"]
    assert left_out[0]["what"] in html
    assert not any("browser" in row["id"] for row in document["whole"])
    assert any(row["id"].endswith("alert-to-page") for row in document["whole"])


@pytest.mark.slow
def test_two_runs_are_compared_by_ratio(
    first: tuple[dict[str, Any], str], without_browser: tuple[dict[str, Any], str]
) -> None:
    earlier, document = first[0], without_browser[0]
    assert document["against"]["made_at"] == earlier["made_at"]
    by_id = {one["id"]: one for one in document["against"]["ratios"]}
    infer = {run["made_at"]: row for run in (earlier, document) for row in run["stages"] if row["id"] == "stage/infer"}
    expected = infer[document["made_at"]]["p50_ms"] / infer[earlier["made_at"]]["p50_ms"]
    if document["made_at"] != earlier["made_at"]:
        assert by_id["stage/infer"]["p50"] == pytest.approx(expected)
    itself = compare(earlier, earlier)
    assert {one[name] for one in itself["ratios"] for name in ("p50", "p95", "p99")} <= {1.0}
    assert len(itself["ratios"]) == len(list(rows_of(earlier)))
    assert [one for one in itself["differs"] if not one.startswith("the machine was busy")] == []


@pytest.mark.slow
def test_what_is_unlike_is_named(first: tuple[dict[str, Any], str]) -> None:
    document = first[0]
    other = json.loads(json.dumps(document))
    other["machine"]["processor"] = "Another"
    other["engine"]["sha256"] = "0" * 64
    other["versions"]["numpy"] = "1.0"
    said = " ".join(compare(document, other)["differs"])
    assert "Another" in said and "engine: sha256" in said and "numpy" in said and "1.0" in said


@pytest.mark.slow
def test_the_report_needs_nothing_else(first: tuple[dict[str, Any], str]) -> None:
    document, html = first
    assert not re.search(r"<script|<link|<img|<iframe|@import|url\(|\bsrc=|\bhref=", html)
    assert "http" not in html.replace("http-equiv", "")
    assert html.count('class="histogram"') == len(list(rows_of(document)))
    assert html.count('class="waterfall"') == 1
    for row in rows_of(document):
        assert str(escape(row["said"])) in html


@pytest.mark.slow
def test_the_report_is_drawn_without_a_request(first: tuple[dict[str, Any], str], browser: Any, tmp_path: Path) -> None:
    place = tmp_path / "report.html"
    place.write_text(first[1])
    page = browser.new_page(viewport={"width": 1280, "height": 1024})
    asked: list[str] = []
    complaints: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda line: complaints.append(line.text))
    page.goto(place.as_uri())
    assert asked == [place.as_uri()] and complaints == []
    assert page.evaluate("document.querySelectorAll('.waterfall rect').length") > SLICES
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.close()


@pytest.mark.slow
def test_the_schema_names_every_field(without_browser: tuple[dict[str, Any], str]) -> None:
    named = set(re.findall(r"`([\w.]+)`", SCHEMA.read_text()))
    assert sorted(set(_fields(without_browser[0])) - named) == []
    assert without_browser[0]["kind"] == "benchmark" and without_browser[0]["schema_version"] == 1


def _fields(value: object, *, free: bool = False) -> Iterator[str]:
    """Names of all fields; below some, names are no fields but programs, packages or stages."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if not free:
                yield name
            yield from _fields(inner, free=name in ("idle", "memory", "versions", "ms", "gflops_by"))
    elif isinstance(value, list):
        for inner in value:
            yield from _fields(inner)


@pytest.mark.slow
def test_the_tables_say_the_machine_and_every_row(first: tuple[dict[str, Any], str]) -> None:
    document = first[0]
    console = Console(width=200, file=io.StringIO(), highlight=False)
    show({**document, "against": compare(document, document)}, console)
    said = console.file.getvalue()
    assert document["machine"]["processor"] in said and document["engine"]["sha256"][:12] in said
    assert document["busy"]["said"] in said
    for row in rows_of(document):
        if row["id"].split("/")[-2] != "in-service":
            assert row["said"] in said
    for one in document["not_measured"]:
        assert f"NOT MEASURED: {one['what']}" in said


@pytest.mark.slow
def test_hostile_text_in_an_earlier_document_is_no_markup(first: tuple[dict[str, Any], str]) -> None:
    document = json.loads(json.dumps(first[0]))
    document["machine"]["processor"] = document["stages"][0]["said"] = "<script>alert(1)</script>"
    assert "<script" not in page_of(document)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "cannot be read"),
        ("{", "no JSON"),
        ("[]", "no document of bleedwatch benchmark"),
        ('{"kind": "study"}', "no document of bleedwatch benchmark"),
        ('{"kind": "benchmark", "schema_version": 99}', "schema_version 99"),
        ('{"kind": "benchmark", "schema_version": 1}', "lacks"),
    ],
)
def test_a_bad_earlier_document_is_refused_before_anything_is_measured(
    tmp_path: Path, text: str | None, words: str
) -> None:
    place = tmp_path / "earlier.json"
    if text is not None:
        place.write_text(text)
    with pytest.raises(CannotStart, match=words):
        run_benchmark(Wish(engine=ENGINE, against=place), GLIMPSE)


def test_a_report_that_cannot_be_written_and_an_engine_that_is_none_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CannotStart, match="is a folder"):
        run_benchmark(Wish(engine=ENGINE, html=tmp_path), GLIMPSE)
    with pytest.raises(CannotStart, match="cannot be written"):
        run_benchmark(Wish(engine=ENGINE, html=tmp_path / "no" / "report.html"), GLIMPSE)
    with pytest.raises(CannotStart, match="no engine folder"):
        run_benchmark(Wish(engine=tmp_path / "none"), GLIMPSE)


@pytest.mark.slow
def test_ctrl_c_ends_it_with_nothing_left(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.real.benchmarks", str(tmp_path / "document"), str(tmp_path / "html")],
        cwd=ROOT, env={**os.environ, "TMPDIR": str(tmp_path)}, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    end_s = time.monotonic() + 120
    while not list(tmp_path.glob("bleedwatch-demo-*/run/triage.status.json")):
        assert process.poll() is None and time.monotonic() < end_s
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "Stopped before the end" in said and (tmp_path / "document").read_text() == ""
    assert list(tmp_path.glob("bleedwatch-demo-*")) == []


def test_the_command_line_refuses_in_words() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "appliance.cli", "benchmark", "--quick", "--against", "/nowhere/earlier.json"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2 and done.stdout == ""
    assert "cannot be read" in done.stderr and "Traceback" not in done.stderr


def test_work_is_counted_from_the_graph() -> None:
    assert work_of(product_model(16)).macs == 16**3
    work = work_of((ENGINE / "model.onnx").read_bytes())
    size = (ENGINE / "model.onnx").stat().st_size
    assert 0.9 * size < work.weight_bytes < size, "the file is its weights, and little else"
    assert work.input_bytes == 4 * 5 * 224 * 224  # five windows
    assert work.macs > work.weight_bytes / 4, "each weight is used at least once"


def test_work_that_cannot_be_counted_says_why() -> None:
    with pytest.raises(NotCounted, match="shapes"):
        work_of(product_model(16).replace(b"MatMul", b"NoSuch"))
