"""The sounds as the page really makes them: every tone that it schedules, and what comes out at the end."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from appliance.records.ledger import Ledger
from appliance.records.test_alarms import raise_test
from tests.real.browsing import station, until, wait_for
from tests.real.scenes import Scene
from tests.real.served import Served, served

# Notes each tone with its start, its end and the peak of its envelope, and listens to what reaches the loudspeaker.
NOTE_TONES = """
window.tones = [];
const start = OscillatorNode.prototype.start;
OscillatorNode.prototype.start = function (at) {
  if (this.note) this.note.at = at;
  window.tones.push(this.note = { hz: this.frequency.value, at: at || 0, heard: true });
  return start.call(this, at);
};
const stop = OscillatorNode.prototype.stop;
OscillatorNode.prototype.stop = function (at) {
  if (this.note) this.note.until = at;
  return stop.call(this, at);
};
window.ramps = [];
const ramp = AudioParam.prototype.linearRampToValueAtTime;
AudioParam.prototype.linearRampToValueAtTime = function (value, at) {
  window.ramps.push([value, at]);
  return ramp.call(this, value, at);
};
const connect = AudioNode.prototype.connect;
AudioNode.prototype.connect = function (to, ...more) {
  if (to === this.context.destination && !(this instanceof AnalyserNode)) {
    if (!window.ear) {
      window.ear = this.context.createAnalyser();
      window.ear.fftSize = 2048;
      connect.call(window.ear, this.context.destination);
    }
    to = window.ear;
  }
  return connect.call(this, to, ...more);
};
window.loudness = () => {
  const wave = new Float32Array(window.ear.fftSize);
  window.ear.getFloatTimeDomainData(wave);
  return Math.sqrt(wave.reduce((sum, one) => sum + one * one, 0) / wave.length);
};
"""

FAST = [0.0, 0.25, 0.5, 0.85, 1.1, 1.85, 2.1, 2.35, 2.7, 2.95]
PITCH = [523, 523, 523, 698, 523, 523, 523, 523, 698, 523]


@pytest.fixture
def board(ledger_path: Path, scene: Scene) -> Iterator[Served]:
    with served(ledger_path, scene.store) as running:
        yield running


@pytest.fixture
def page(browser: Any, board: Served) -> Iterator[Any]:
    with station(browser, board.address) as page:
        page.context.add_init_script(NOTE_TONES)
        page.reload()
        page.wait_for_selector("body.live")
        until(page, "bleedwatch.soundState === 'armed'")
        page.evaluate("window.tones.length = 0; window.ramps.length = 0")
        yield page


def pulses(page: Any) -> list[dict[str, float]]:
    """The fundamentals: of each pulse the first of its five tones."""
    tones: list[dict[str, float]] = page.evaluate("window.tones")
    assert len(tones) % 5 == 0
    groups = [tones[n : n + 5] for n in range(0, len(tones), 5)]
    for group in groups:
        assert [round(one["hz"] / group[0]["hz"]) for one in group] == [1, 2, 3, 4, 5], "four harmonics"
        assert len({one["at"] for one in group}) == 1
    return [group[0] for group in groups]


def lengths_ms(found: list[dict[str, float]]) -> list[int]:
    return [round(1000 * (one["until"] - one["at"])) for one in found]


def peaks(page: Any) -> set[float]:
    return {round(value, 3) for value, _ in page.evaluate("window.ramps") if value}


def test_critical_is_ten_fast_pulses_each_five_seconds(page: Any, scene: Scene) -> None:
    scene.critical("PHANTOM^ONE", 1, before_s=0.0)
    until(page, "bleedwatch.pulsesScheduled >= 20", within_s=3)
    found = pulses(page)
    first = found[0]["at"]
    assert [round(one["at"] - first, 3) for one in found[:10]] == FAST
    assert [round(one["hz"]) for one in found[:10]] == PITCH
    assert set(lengths_ms(found)) == {170}
    assert round(found[9]["until"] - first, 2) == 3.12
    assert round(found[10]["at"] - first, 3) == 5.0
    assert peaks(page) == {0.8}
    rise = next(at for value, at in page.evaluate("window.ramps") if value)
    assert rise - first == pytest.approx(0.02, abs=1e-6)


def test_it_is_heard_until_a_person_answers_and_not_after(page: Any, scene: Scene) -> None:
    scene.critical("PHANTOM^ONE", 1, before_s=0.0)
    page.wait_for_selector(".alarm .ack")
    until(page, "loudness() > 0.05", within_s=2)
    page.wait_for_timeout(5000)
    until(page, "loudness() > 0.05", within_s=5.5)  # and again
    # Pressed while it sounds: that it ends is not the pause between two bursts.
    page.evaluate(
        "document.querySelector('.alarm .ack').addEventListener('click', () => { window.pressed = performance.now(); }, true)"
    )
    until(page, "loudness() > 0.05", within_s=5.5)
    page.click(".alarm .ack")
    quiet_ms = page.evaluate(
        "new Promise((done) => { const look = () => loudness() < 1e-4 ? done(performance.now() - window.pressed)"
        " : setTimeout(look, 5); look(); })"
    )
    assert quiet_ms < 150, "one buffer of the sound card, and nothing more"
    page.wait_for_selector(".alarm.seen")
    loudest = page.evaluate(
        "new Promise((done) => { let most = 0; const end = performance.now() + 6000;"
        " const look = () => { most = Math.max(most, loudness()); performance.now() > end ? done(most) : setTimeout(look, 20); };"
        " look(); })"
    )
    assert loudest < 1e-4


def test_a_second_patient_begins_the_burst_anew_and_nothing_is_stacked(page: Any, scene: Scene) -> None:
    scene.critical("PHANTOM^ONE", 1, before_s=0.0)
    until(page, "bleedwatch.pulsesScheduled >= 10", within_s=2)
    page.wait_for_timeout(1300)
    before = page.evaluate("window.tones.length")
    scene.now_ns = time.time_ns()
    scene.critical("PHANTOM^TWO", 2, before_s=0.0)
    until(page, f"window.tones.length > {before}", within_s=2)
    now = page.evaluate("window.ear.context.currentTime")
    assert page.evaluate(f"window.tones[{before}].at") - now < 0.2, "at once"
    loudest = page.evaluate(
        "new Promise((done) => { let most = 0; const end = performance.now() + 3000;"
        " const look = () => { most = Math.max(most, loudness()); performance.now() > end ? done(most) : setTimeout(look, 10); };"
        " look(); })"
    )
    assert 0.05 < loudest < 0.5, "one burst, not two on top of each other"


def test_blind_is_two_low_tones_each_ten_seconds(page: Any, scene: Scene) -> None:
    scene.technical("inbox-unreachable", time="14:02")
    until(page, "bleedwatch.pulsesScheduled >= 4", within_s=4)
    found = pulses(page)
    assert [round(one["hz"]) for one in found[:4]] == [220, 165, 220, 165]
    assert lengths_ms(found[:2]) == [450, 600]
    assert round(found[1]["at"] - found[0]["at"], 3) == 0.6
    assert round(found[2]["at"] - found[0]["at"], 3) == 10.0
    assert peaks(page) == {0.6}


def test_a_patient_goes_before_the_box(page: Any, scene: Scene) -> None:
    scene.technical("inbox-unreachable", time="14:02")
    until(page, "bleedwatch.pulsesScheduled >= 2", within_s=4)
    before = len(pulses(page))
    scene.now_ns = time.time_ns()
    scene.critical("PHANTOM^ONE", 1, before_s=0.0)
    until(page, f"bleedwatch.pulsesScheduled >= {before + 10}", within_s=3)
    assert [round(one["hz"]) for one in pulses(page)[before : before + 10]] == PITCH
    page.wait_for_timeout(3000)
    assert {round(one["hz"]) for one in pulses(page)[before:]} == {523, 698}


def test_a_test_is_four_rising_tones_once(page: Any, ledger: Ledger) -> None:
    with ledger.writing() as w:
        raise_test(w, by="R. Example", at_ns=time.time_ns(), details={})
    until(page, "bleedwatch.pulsesScheduled === 4", within_s=3)
    found = pulses(page)
    assert [round(one["hz"]) for one in found] == [330, 392, 494, 587]
    assert set(lengths_ms(found)) == {250}
    assert peaks(page) == {0.5}
    page.wait_for_timeout(2500)
    assert page.evaluate("bleedwatch.pulsesScheduled") == 4


def test_a_sound_that_the_system_takes_away_is_noticed_within_seconds(page: Any, board: Served) -> None:
    wait_for(lambda: [one.armed for one in board.pages] == [True], within_s=6)
    # As when the browser takes the sound from a page: its clock stands still.
    page.evaluate("AudioContext.prototype.resume = () => Promise.reject(new Error('no')); window.ear.context.suspend()")
    page.wait_for_selector("#silent:not([hidden])", timeout=5000)
    assert "since" in page.inner_text("#silent-words")
    wait_for(lambda: [one.armed for one in board.pages] == [False], within_s=6)
