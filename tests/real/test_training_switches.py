"""What a recipe can switch off, so that its worth can be measured, and the table by which a held-out fold is judged."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from appliance.evaluation.command import Wish as EvaluateWish
from appliance.evaluation.command import run_evaluate
from appliance.phantoms.pasting.mimics import MIMIC_NAMES
from tests.real.appliance import ENGINE
from tests.training_scenes import PASTED, recipe_of, small_head, write_pictures

pytest.importorskip("torch", reason="torch is not installed: the training extra adds it")

from appliance.training.cache import Part, open_part
from appliance.training.filling import pasted_part, real_part
from appliance.training.held_out import write_held_out
from appliance.training.opening import Opening, open_sources
from appliance.training.plans import Recipe
from appliance.training.recipe import BadRecipe

TEXT = PASTED.replace("exams = 12", "exams = 12\nmimic_share = 1.0")
ALL = ", ".join(f'"{name}"' for name in MIMIC_NAMES)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures") / "ours"
    write_pictures(folder, {f"head-{seed}": small_head(seed) for seed in (1, 2, 3)})
    return folder


def opened(folder: Path, text: str, place: Path) -> tuple[Recipe, Opening]:
    recipe = recipe_of(folder, text)
    return recipe, open_sources(recipe, {"ours": place})


def pasted_by(folder: Path, text: str, place: Path) -> Part:
    recipe, opening = opened(folder, text, place)
    return open_part(pasted_part(recipe, recipe.sources[1], opening.trains, 0, folder, lambda _: None))


def test_mimics_that_a_recipe_names_are_not_drawn(pictures: Path, tmp_path: Path) -> None:
    without = TEXT.replace("mimic_share = 1.0", f"mimic_share = 1.0\nwithout_mimics = [{ALL}]")
    none, never = pasted_by(tmp_path, without, pictures), pasted_by(tmp_path, TEXT.replace("= 1.0", "= 0.0"), pictures)
    some = pasted_by(tmp_path, TEXT, pictures)
    recipe, opening = opened(tmp_path, TEXT, pictures)
    heads = real_part(recipe, recipe.sources[0], opening.trains["ours"], tmp_path, lambda _: None, lambda _: None)
    real = {one.tobytes() for one in open_part(heads).hu}
    changed = [[one.tobytes() not in real for one in part.hu[part.labels[:, 0] == 0]] for part in (none, never, some)]
    assert not any(changed[0] + changed[1])
    assert np.mean(changed[2]) > 0.8


def test_a_mimic_that_nobody_knows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadRecipe, match=r"without_mimics' must be a list of some of scalp_swelling, "):
        recipe_of(tmp_path, TEXT.replace("exams = 12", 'exams = 12\nwithout_mimics = ["fracture", "fractures"]'))
    with pytest.raises(BadRecipe, match=r"cut_boxes' must be true or false.*without_mimics' is nothing that"):
        wrong = TEXT.replace("folds = 3", "folds = 3\ncut_boxes = 1", 1)
        recipe_of(
            tmp_path, wrong + '[[source]]\nname = "h"\nkind = "synthetic"\nheads = 2\nwithout_mimics = ["fracture"]'
        )


def test_boxes_are_cut_to_the_inside_of_the_skull_unless_a_recipe_says_not(pictures: Path, tmp_path: Path) -> None:
    table = pictures / "rows.csv"
    rows = list(csv.DictReader(table.read_text(encoding="utf-8").splitlines()))
    wide = tmp_path / "wide.csv"
    with wide.open("w", newline="", encoding="utf-8") as file:
        lines = csv.DictWriter(file, rows[0].keys())
        lines.writeheader()
        for row in rows:  # a box about the whole picture: its ellipse takes in skull and scalp
            lines.writerow(row | {"path": str(pictures / row["path"]), "boxes": "0 0 223 223" if row["boxes"] else ""})
    blood = []
    for more in ("", "cut_boxes = false"):
        recipe, opening = opened(tmp_path, TEXT.replace("folds = 3", f"folds = 3\n{more}"), wide)
        part = real_part(recipe, recipe.sources[0], opening.trains["ours"], tmp_path, lambda _: None, lambda _: None)
        slices = open_part(part)
        on_bone = slices.hu.reshape(-1, 56, 4, 56, 4).mean(axis=(2, 4)) > 400
        blood.append(int((on_bone & (slices.cells[..., 0] == 250)).sum()))
    assert blood[0] < 10  # a cell at the skull's edge may be a quarter bone
    assert blood[1] > 100


def test_what_was_held_out_can_be_evaluated(pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe, opening = opened(tmp_path, TEXT, pictures)
    write_held_out(recipe, opening, {"ours": pictures}, tmp_path)
    table = tmp_path / "held-out-ours.csv"
    held_out = list(opening.held_out["ours"].exams())
    _, again = opened(tmp_path, TEXT.replace("folds = 3\nhold_out = 1\n", ""), table)
    exams = list(again.trains["ours"].exams())
    assert [one.patient for one in exams] == [one.patient for one in held_out] != []
    for one, other in zip(exams, held_out, strict=True):
        np.testing.assert_array_equal(one.hu, other.hu)
        np.testing.assert_array_equal(one.labels, other.labels)
        assert one.boxes == other.boxes
    assert table.read_text(encoding="utf-8").splitlines()[0] == (pictures / "rows.csv").read_text().splitlines()[0]
    run_evaluate(EvaluateWish(engine=ENGINE, manifest=table, as_json=True))
    answers = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    images = [one for one in answers if one["kind"] == "image"]
    assert [Path(one["path"]).parent for one in images] == [pictures.resolve()] * 12
    assert all(one["any"] is not None for one in images)
