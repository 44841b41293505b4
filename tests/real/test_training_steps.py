"""The small steps of training, each alone: the average, the best weights, hard slices, the weight of "any", curves, the card."""

from pathlib import Path

import numpy as np
import pytest

from tests.training_scenes import plain_recipe, small_head

torch = pytest.importorskip("torch", reason="torch is not installed: the training extra adds it")

from appliance.training.averaging import add_to_average, copy_of  # noqa: E402
from appliance.training.cache import Slices  # noqa: E402
from appliance.training.card import write_card  # noqa: E402
from appliance.training.crops import phantom_slices  # noqa: E402
from appliance.training.curves import write_curves  # noqa: E402
from appliance.training.filling import Pools  # noqa: E402
from appliance.training.hard import hard_negatives  # noqa: E402
from appliance.training.log import Log  # noqa: E402
from appliance.training.loss import slice_loss  # noqa: E402
from appliance.training.networks import build_network  # noqa: E402
from appliance.training.plans import NetworkPlan, StopPlan  # noqa: E402
from appliance.training.stopping import Stopper, patients_left_out  # noqa: E402


def test_an_average_moves_by_what_is_not_kept_and_faster_at_first() -> None:
    network = build_network(NetworkPlan(kind="plain"))
    averaged = copy_of(network)
    for value, start in ((averaged.offset, 0.0), (network.offset, 1.0)):
        torch.nn.init.constant_(value, start)
    add_to_average(averaged, network, 0.9, 10_000)
    torch.testing.assert_close(averaged.offset, torch.full((6,), 0.1))
    add_to_average(averaged, network, 0.9, 0)  # one of ten is kept
    torch.testing.assert_close(averaged.offset, torch.full((6,), 0.91))
    assert network.offset.eq(1.0).all()


def test_any_bleed_counts_double() -> None:
    logits = torch.zeros(3, 6, requires_grad=True)
    slice_loss(logits, torch.ones(3, 6)).backward()
    torch.testing.assert_close(logits.grad[:, :1] / 2, logits.grad[:, 1:2])
    torch.testing.assert_close(logits.grad[:, 1], logits.grad[:, 5])


def test_the_best_weights_are_put_back_and_outlive_a_checkpoint(tmp_path: Path) -> None:
    none = Slices([])
    pools = Pools(real=none, pasted=none, synthetic=Slices([phantom_slices(small_head(seed)) for seed in (1, 2)]))
    left_out = patients_left_out(pools, plain_recipe(tmp_path, steps=2, more="[stop]\nshare = 0.5"))
    plan = StopPlan(share=0.5, every_steps=1, patience=2)
    stopper = Stopper(pools, left_out, plan, 0)
    network = build_network(NetworkPlan(kind="plain")).eval()
    best = stopper.look(network)
    torch.nn.init.constant_(network.offset, 50.0)  # all of them bleed, it says now
    assert stopper.look(network) > best
    other = Stopper(pools, left_out, plan, 0)
    other.load_state(stopper.state())
    assert not other.is_over
    assert other.look(network) > best and other.is_over
    other.take_best(network)
    assert network.offset.eq(0.0).all()
    assert stopper.look(network) == pytest.approx(best)


class Brightness(torch.nn.Module):
    """The brighter a slice, the more it bleeds."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(6))

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        return image.mean(dim=(1, 2, 3))[:, None] * self.scale, None, None


def test_hard_slices_are_those_most_like_blood() -> None:
    slices = Slices([phantom_slices(small_head(seed)) for seed in (1, 2)])
    free = np.flatnonzero(slices.use & (slices.labels[:, 0] == 0))
    bright = np.array([np.clip(slices.hu(free[k : k + 1]), 0, 80).mean() for k in range(free.size)])
    hard = hard_negatives(Brightness(), slices, free)
    assert hard.size == round(0.12 * free.size) < free.size
    assert np.median(bright) < bright[np.isin(free, hard)].min()


def test_curves_are_means_of_stretches_with_the_loss_on_patients_left_out(tmp_path: Path) -> None:
    log = Log(tmp_path / "log.jsonl")
    for step in range(1, 801):
        log.add(step=step, loss=step / 100, rate=1.0)
        if step == 4:
            log.add(step=step, left_out_loss=0.625)
    write_curves(tmp_path / "log.jsonl", tmp_path / "curves.csv")
    lines = (tmp_path / "curves.csv").read_text().splitlines()
    assert len(lines) == 401
    assert lines[:3] == ["step,loss,rate,left_out_loss", "2,0.0150,1.0000,", "4,0.0350,1.0000,0.625"]


def test_a_card_that_somebody_has_written_is_left_alone(tmp_path: Path) -> None:
    card = tmp_path / "MODEL_CARD.md"
    assert write_card(card, (), ())
    assert "synthetic heads alone" in card.read_text() and "Not certified" in card.read_text()
    card.write_text("ours")
    assert not write_card(card, (), ())
    assert card.read_text() == "ours"
