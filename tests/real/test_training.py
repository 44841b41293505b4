"""Training end to end, in a minute or two: heads -> network -> engine folder that answers better than chance."""

from pathlib import Path

import numpy as np
import pytest

from appliance.inference.loading import load_engine
from appliance.phantoms.exam import HELD_OUT_SEED

torch = pytest.importorskip("torch", reason="torch is not installed: the training extra adds it")
pytest.importorskip("onnxscript", reason="onnxscript is not installed: the training extra adds it")

from appliance.training.cache import HeldOutSeed, make_cache, read_cache  # noqa: E402
from appliance.training.command import train  # noqa: E402
from appliance.training.export import INPUT  # noqa: E402
from appliance.training.loop import train_network  # noqa: E402
from appliance.training.recipe import BadRecipe, Recipe, read_recipe  # noqa: E402
from appliance.training.selfcheck import check, figures  # noqa: E402

SMOKE = """\
heads = 4
steps = 70
batch = 10
learning_rate = 3e-3
average = 0.9
calibration_exams = 4
threads = 2
"""


@pytest.fixture(scope="module")
def heads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("heads")
    make_cache(folder, range(4), INPUT, lambda: None)
    return folder


def test_held_out_heads_are_never_rendered_for_training(tmp_path: Path) -> None:
    with pytest.raises(HeldOutSeed):
        make_cache(tmp_path, range(HELD_OUT_SEED, HELD_OUT_SEED + 1), INPUT, lambda: None)
    assert not list(tmp_path.iterdir())


def test_a_recipe_tells_all_its_faults_at_once(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text("heads = 6\nfirst_seed = 999_999\nbatch = 1\naverage = 2.0\n", encoding="utf-8")
    with pytest.raises(BadRecipe) as refused:
        read_recipe(path)
    for word in ("held out", "'batch'", "'average'"):
        assert word in str(refused.value)
    path.write_text("haeds = 6\nbatch = 'many'\n", encoding="utf-8")
    with pytest.raises(BadRecipe, match=r"unknown entry 'haeds'.*'batch' must be a whole number.*'heads' is missing"):
        read_recipe(path)


def test_the_cache_holds_twins_that_differ_by_the_bleed(heads: Path) -> None:
    slices = read_cache(heads, range(4))
    bleeding = np.flatnonzero(slices.labels[:, 0])
    assert bleeding.size > 5
    for k in bleeding:
        twin = slices.twin[k]
        assert slices.labels[twin].max() == 0
        seen = np.repeat(np.repeat(slices.lesions[k].max(axis=-1) > 200, 4, axis=0), 4, axis=1)
        if seen.any():
            assert (slices.hu[k][seen].astype(int) - slices.hu[twin][seen]).mean() > 3


def test_a_run_that_was_cut_off_goes_on(heads: Path, tmp_path: Path) -> None:
    slices = read_cache(heads, range(4))
    steps: list[int] = []
    short = Recipe(heads=4, steps=4, batch=6, checkpoint_steps=2)
    train_network(slices, short, INPUT, tmp_path / "c.pt", lambda step, loss: steps.append(step))
    train_network(
        slices,
        Recipe(heads=4, steps=6, batch=6, checkpoint_steps=2),
        INPUT,
        tmp_path / "c.pt",
        lambda step, loss: steps.append(step),
    )
    assert steps == [1, 2, 3, 4, 5, 6]


def test_the_same_recipe_gives_the_same_network(heads: Path, tmp_path: Path) -> None:
    slices = read_cache(heads, range(4))
    recipe = Recipe(heads=4, steps=3, batch=6)
    losses: list[list[float]] = [[], []]
    for run in (0, 1):
        train_network(slices, recipe, INPUT, tmp_path / f"{run}.pt", lambda _, loss, run=run: losses[run].append(loss))
    assert losses[0] == losses[1]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_smoke_recipe_ends_in_an_engine_that_beats_chance(heads: Path, tmp_path: Path) -> None:
    recipe, out, work = tmp_path / "smoke.toml", tmp_path / "engine", tmp_path / "work"
    recipe.write_text(SMOKE, encoding="utf-8")
    work.mkdir()
    (work / "heads").symlink_to(heads)
    train(recipe, out, work=work)
    assert (out / "recipe.toml").read_text(encoding="utf-8") == SMOKE
    assert (out / "model.onnx").stat().st_size <= 15 * 1024 * 1024
    assert (out / "golden.npz").stat().st_size <= 1024 * 1024
    engine = load_engine(out)  # hash, shape and golden test
    answer = figures(check(out, 4, HELD_OUT_SEED + 40), engine)
    assert answer["bleeding"] >= 1
    assert answer["slice_auc_any"] > 0.6
    points = engine.card.points
    assert 0 < points.review < points.critical < points.early_single < 1
