"""How far a long run is: a line now and then where no bar can be drawn."""

import re

import pytest

from appliance.training import progress


def test_a_log_file_gets_a_line_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    with progress.bar("training", 40, "steps", line_every_s=0.0) as advance:
        for step in range(3):
            advance(10, f"loss {step}")
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(",")[0] for line in lines[:3]] == [f"training: {done} of 40" for done in (10, 20, 30)]
    assert re.search(r"steps/s, 0:00:0\d left, loss 2$", lines[2])


def test_a_short_run_says_nothing_until_its_end(capsys: pytest.CaptureFixture[str]) -> None:
    with progress.bar("training", 2, "steps") as advance:
        advance(1)
        assert capsys.readouterr().err == ""
        advance(1)
    assert "2/2" in capsys.readouterr().err
