"""A crash before or after every durable step of triage: sync, rename, commit, removal. Then a fresh start."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from appliance.core.words import Finality
from appliance.inference.loading import LoadedEngine
from appliance.records.ledger import Connection, Ledger
from tests.conftest import MakeBox
from tests.phantom_exams import series_files
from tests.real.appliance import KEEN, Box, with_points


class Crash(BaseException):
    """As sudden as a kill: nothing of the product catches it."""


class Steps:
    """Counts the durable steps, and crashes at one of them."""

    def __init__(self) -> None:
        self.done = 0
        self.crash_at: int | None = None

    def step(self) -> None:
        self.done += 1
        if self.done == self.crash_at:
            self.crash_at = None
            raise Crash

    def around(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """The same call, with a step before and after."""

        def stepped(*arguments: Any, **named: Any) -> Any:
            self.step()
            answer = call(*arguments, **named)
            self.step()
            return answer

        return stepped


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> Steps:
    counted = Steps()
    monkeypatch.setattr(os, "fsync", counted.around(os.fsync))
    monkeypatch.setattr(Path, "replace", counted.around(Path.replace))
    monkeypatch.setattr(Path, "unlink", counted.around(Path.unlink))
    begin = Ledger.writing

    @contextmanager
    def writing(self: Ledger) -> Iterator[Connection]:
        with begin(self) as connection:
            yield connection
            counted.step()  # all is said, nothing is committed
        counted.step()

    monkeypatch.setattr(Ledger, "writing", writing)
    return counted


def drop(box: Box) -> list[bytes]:
    """Two slices that show a bleed, one of them twice, and half of another. Returns what must be in the store."""
    files = series_files("crash")[18:21]
    box.put("a", files[0].data)
    box.put("b", files[1].data)
    box.put("b again", files[1].data)
    box.put("half", files[2].data[: len(files[2].data) // 2])
    return [files[0].data, files[1].data]


def live(box: Box) -> None:
    """Until the study is closed and the inbox is empty of what was taken."""
    box.rest(at_least_s=6.0)
    box.pass_time(4.0)


def facts(box: Box) -> tuple[Any, ...]:
    (series,) = box.series()
    finals = [one for one in box.readings(series) if one.finality is Finality.FINAL]
    return (
        box.sums(),
        box.in_inbox(),
        box.study().outcome,
        box.study().reasons,
        finals[-1].probabilities,
        finals[-1].slices,
        [(alert.level, alert.finality, alert.sounds) for alert in box.alerts()],
        len([event for event in box.events() if event.sounds]),
    )


def test_a_crash_at_every_durable_step(make_box: MakeBox, head_engine: LoadedEngine, steps: Steps) -> None:
    engine = with_points(head_engine, KEEN)
    plain = make_box("plain", engine=engine, start=False)
    stored = drop(plain)
    steps.done = 0
    plain.start()
    live(plain)
    expected, count = facts(plain), steps.done
    assert expected[0] == {"TAKEN": 2, "DUPLICATE": 1, "SET_ASIDE": 1}
    assert expected[-1] == 1, "it sounds once"
    assert count > 40

    for crash_at in range(1, count + 1):
        box = make_box(f"crash{crash_at}", engine=engine, start=False)
        drop(box)
        steps.done, steps.crash_at = 0, crash_at
        with pytest.raises(Crash):
            box.start()
            live(box)
        box.restart()
        live(box)
        assert facts(box) == expected, f"crash at step {crash_at} of {count}"
        box.assert_sound(*stored)
        box.close()
