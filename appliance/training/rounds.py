"""Rounds of pasting: while one is trained on, a process of its own makes the next, on another core."""

from __future__ import annotations

import multiprocessing
import os
import shutil
from collections.abc import Mapping
from multiprocessing.process import BaseProcess
from pathlib import Path

from appliance.core.errors import CannotStart
from appliance.training.cache import Slices, open_part
from appliance.training.filling import pasted_part, round_folder
from appliance.training.opening import open_sources
from appliance.training.plans import Recipe

_NICER = 5


class Rounds:
    """The rounds of a recipe's pasted source, each used for its share of the steps, or until the next is whole."""

    def __init__(self, recipe: Recipe, places: Mapping[str, Path], folder: Path) -> None:
        self._recipe = recipe
        self._places = dict(places)
        self._folder = folder
        self._plan = next(iter(recipe.of_kind("pasted")), None)
        self._number = 0
        self._maker: BaseProcess | None = None

    def at(self, step: int) -> Slices | None:
        """The round to draw from after this step, where it is another than before. CannotStart where one cannot be made."""
        if self._plan is None or self._plan.rounds == 1:
            return None
        wanted = min(step * self._plan.rounds // self._recipe.schedule.steps, self._plan.rounds - 1)
        whole = (number for number in range(wanted, self._number, -1) if self._place(number).exists())
        found = next(whole, None)  # after a break earlier ones are gone
        self._number = self._number if found is None else found
        self._tidy()
        if self._number + 1 < self._plan.rounds:
            self._make(max(self._number + 1, wanted))
        return None if found is None else Slices([open_part(self._place(found))])

    def close(self) -> None:
        """End the process that makes a round. What it has made is lost; it is made again."""
        if self._maker is not None and self._maker.is_alive():
            self._maker.terminate()
        if self._maker is not None:
            self._maker.join()

    def _place(self, number: int) -> Path:
        return round_folder(self._recipe, number, self._folder)

    def _make(self, number: int) -> None:
        if self._place(number).exists() or (self._maker and self._maker.is_alive()):
            return
        if self._maker is not None and self._maker.exitcode:
            raise CannotStart("A round of pasting could not be made: see above. The checkpoint stands; train again.")
        self._maker = multiprocessing.get_context("spawn").Process(
            target=_make_round, args=(self._recipe, self._places, number, self._folder), daemon=True
        )
        self._maker.start()

    def _tidy(self) -> None:
        """Rounds before the one in use are not drawn from again."""
        for number in range(1, self._number):
            shutil.rmtree(self._place(number), ignore_errors=True)


def _make_round(recipe: Recipe, places: Mapping[str, Path], number: int, folder: Path) -> None:
    os.nice(_NICER)
    (plan,) = recipe.of_kind("pasted")
    pasted_part(recipe, plan, open_sources(recipe, places).trains, number, folder, lambda _: None)
