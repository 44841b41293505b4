"""The training loop: AdamW, cosine rate, an averaged copy, checkpoints that a killed run goes on from."""

from __future__ import annotations

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from torch import nn

from appliance.core.errors import CannotStart
from appliance.training.averaging import add_to_average, copy_of
from appliance.training.batches import Batch, Batches
from appliance.training.hard import hard_negatives
from appliance.training.log import Log
from appliance.training.loss import whole_loss
from appliance.training.network import SliceNetwork
from appliance.training.plans import Recipe, SchedulePlan
from appliance.training.rounds import Rounds
from appliance.training.stopping import Stopper

_LEAST_RATE = 0.02
_CLIP = 5.0


class LossRanAway(CannotStart):
    """The loss is no number any more."""


class Trainer:
    """A network in training, its average, and all that a checkpoint holds of them.

    `is_started`: the first weights are somebody's, not random ones, and are moved at the encoder's rate.
    """

    def __init__(
        self,
        network: SliceNetwork,
        batches: Batches,
        recipe: Recipe,
        work: Path,
        *,
        rounds: Rounds,
        stopper: Stopper | None = None,
        is_started: bool = False,
    ) -> None:
        self._plan = recipe.schedule
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        # Channels last: a tenth faster on a processor, twice as fast with depthwise convolutions.
        self._network = network.to(self._device, memory_format=torch.channels_last)
        self._averaged = copy_of(network)
        self._optimiser = torch.optim.AdamW(_groups(network, self._plan, is_started))
        self._batches = batches
        self._rounds = rounds
        self._stopper = stopper
        self._checkpoint = work / "checkpoint.pt"
        self._run = _print_of(recipe, is_started)
        self._log = Log(work / "log.jsonl")
        self._step = 0
        self._resume()

    @property
    def step(self) -> int:
        """How many steps are done: above 0 where a checkpoint was gone on from."""
        return self._step

    def run(self, done: Callable[[int, float], None]) -> SliceNetwork:
        """Train to the end and return the averaged network; call `done(step, loss)` after each step."""
        self._set_modes()
        with ThreadPoolExecutor(max_workers=1) as ahead:
            coming = ahead.submit(self._batches.at, self._step)
            while self._step < self._plan.steps and not (self._stopper and self._stopper.is_over):
                batch = coming.result()
                self._change_batches()
                coming = ahead.submit(self._batches.at, self._step + 1)
                done(self._step + 1, self._one(batch))
            coming.cancel()
        if self._stopper:
            self._stopper.take_best(self._averaged)
        self._averaged.cpu()
        return self._averaged

    def _one(self, batch: Batch) -> float:
        rate = _rate(self._step, self._plan)
        for group in self._optimiser.param_groups:
            group["lr"] = group["top_rate"] * rate
        batch = batch.to(self._device)
        self._optimiser.zero_grad(set_to_none=True)
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._device.type == "cuda"):
            answers = self._network(batch.image.contiguous(memory_format=torch.channels_last))
        loss = whole_loss(answers, batch, self._plan.map_weight)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self._network.parameters(), _CLIP)
        self._optimiser.step()
        add_to_average(self._averaged, self._network, self._plan.average, self._step)
        self._step += 1
        said = float(loss.detach())
        if not math.isfinite(said):
            raise LossRanAway(
                f"step {self._step}: the loss is {said}. Lower the rates in the recipe, and train with another --work FOLDER."
            )
        self._log.add(step=self._step, loss=said, rate=rate, px=batch.image.shape[-1])
        self._look_and_save()
        return said

    def _look_and_save(self) -> None:
        if self._stopper and self._stopper.is_due(self._step):
            self._log.add(step=self._step, left_out_loss=self._stopper.look(self._averaged))
        if self._step % self._plan.checkpoint_steps == 0 or self._step == self._plan.steps:
            self._save()

    def _change_batches(self) -> None:
        """Take a new round of pasting, or the hard slices; batches drawn from now on hold them."""
        pasted = self._rounds.at(self._step)
        if pasted is not None:
            self._batches.draw_pasted_from(pasted)
        plan = self._plan
        if plan.hard_share and self._step >= plan.hard_from * plan.steps and not self._batches.hard.size:
            others = self._batches.others
            if others.free.size:
                self._batches.hard = hard_negatives(self._averaged, others.slices, others.free)

    def _set_modes(self) -> None:
        self._network.train()
        for stage in self._network.stages()[: self._plan.frozen_stages]:
            stage.eval()  # nor do its batch norms move

    def _save(self) -> None:
        part = self._checkpoint.with_suffix(".part")
        state = {
            "run": self._run,
            "network": self._network.state_dict(),
            "averaged": self._averaged.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "step": self._step,
            "hard": torch.from_numpy(self._batches.hard),
            "stopper": self._stopper.state() if self._stopper else None,
        }
        torch.save(state, part)
        part.rename(self._checkpoint)

    def _resume(self) -> None:
        if self._checkpoint.exists():
            state = torch.load(self._checkpoint, weights_only=True, map_location=self._device)
            if state["run"] != self._run:
                raise CannotStart(
                    f"{self._checkpoint} is of another recipe or start. Train with another --work FOLDER, or remove that one."
                )
            self._network.load_state_dict(state["network"])
            self._averaged.load_state_dict(state["averaged"])
            self._optimiser.load_state_dict(state["optimiser"])
            self._step = int(state["step"])
            self._batches.hard = state["hard"].cpu().numpy()
            if self._stopper and state["stopper"]:
                self._stopper.load_state(state["stopper"])
        self._log.cut(self._step)


def _print_of(recipe: Recipe, is_started: bool) -> str:
    """What runs are told apart by: a checkpoint of one is never gone on from by another."""
    # How many cores there are, how often it is written down, and what comes after training make no other run.
    schedule = replace(recipe.schedule, threads=1, checkpoint_steps=1)
    parts = recipe.seed, recipe.network, recipe.sources, recipe.batch, schedule, recipe.stop, is_started
    return sha256(repr(parts).encode()).hexdigest()


def _groups(network: SliceNetwork, plan: SchedulePlan, is_started: bool) -> list[dict[str, Any]]:
    """Parameters by rate and decay; those of frozen stages are in none."""
    stages = network.stages()
    for stage in stages[: plan.frozen_stages]:
        stage.requires_grad_(False)
    in_encoder = {id(value) for stage in stages for value in stage.parameters()}
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for value in network.parameters():
        if value.requires_grad:
            rate = plan.encoder_rate if is_started and id(value) in in_encoder else plan.rate
            decay = plan.weight_decay if value.ndim > 1 else 0.0
            groups.setdefault((rate, decay), []).append(value)
    return [
        {"params": values, "lr": rate, "top_rate": rate, "weight_decay": decay}
        for (rate, decay), values in groups.items()
    ]


def _rate(step: int, plan: SchedulePlan) -> float:
    """The share of the top rate at a step: a warm-up, then half a cosine."""
    warm = min(1.0, (step + 1) / (plan.warm_steps + 1))
    return warm * (_LEAST_RATE + (1.0 - _LEAST_RATE) * 0.5 * (1.0 + math.cos(math.pi * step / plan.steps)))
