"""From exams to slices, and from slices to batches: the cache, what is known of each cell, twins, labels nobody knows."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from appliance.exams.head_ct.anatomy import find_anatomy
from appliance.phantoms.exam import HELD_OUT_SEED
from appliance.phantoms.label_map import map_of
from tests.phantom_maps import head_labels, write_nifti
from tests.training_scenes import PASTED, plain_recipe, recipe_of, small_head, write_pictures

torch = pytest.importorskip("torch", reason="torch is not installed: the training extra adds it")

from appliance.core.errors import CannotStart  # noqa: E402
from appliance.training.augment import draw_looks, look_cells  # noqa: E402
from appliance.training.batches import Batches, _looks_of, windowed  # noqa: E402
from appliance.training.cache import UNKNOWN, WHOLE, Part, PartWriter, Slices, open_part  # noqa: E402
from appliance.training.crops import phantom_slices, source_slices  # noqa: E402
from appliance.training.filling import (  # noqa: E402
    HEADS_A_MAP,
    HeldOutSeed,
    Numbers,
    Pools,
    fill,
    pasted_part,
    round_folder,
    synthetic_parts,
)
from appliance.training.loss import map_loss, slice_loss  # noqa: E402
from appliance.training.opening import Kept, open_sources  # noqa: E402
from appliance.training.plans import BatchPlan, SourcePlan  # noqa: E402
from appliance.training.rounds import Rounds  # noqa: E402
from appliance.training.same_data import refuse_other_data  # noqa: E402
from appliance.training.sources.exam import SourceExam  # noqa: E402

NONE = Slices([])


@pytest.fixture(scope="module")
def heads() -> Slices:
    return Slices([phantom_slices(small_head(seed)) for seed in (1, 2, 3)])


def as_source(exam_of: int, **more: object) -> SourceExam:
    exam = small_head(exam_of)
    fields = {
        "source": "ours",
        "patient": "p",
        "exam": "e",
        "hu": exam.hu,
        "pixel_mm": (1.0, 1.0),
        "positions_mm": exam.positions_mm,
        "labels": exam.labels,
        "boxes": ((),) * len(exam.hu),
        "masks": None,
    }
    return SourceExam(**(fields | more))


def only(pools: dict[str, Slices]) -> Pools:
    return Pools(**({"real": NONE, "pasted": NONE, "synthetic": NONE} | pools))


def test_held_out_heads_are_never_rendered_for_training(tmp_path: Path) -> None:
    plan = SourcePlan(name="heads", kind="synthetic", heads=2, first_seed=HELD_OUT_SEED - 1)
    with pytest.raises(HeldOutSeed):
        synthetic_parts(plan, (), tmp_path, lambda _: None)
    assert not list(tmp_path.iterdir())


MAPPED = """\
[network]
kind = "plain"
[[source]]
name = "maps"
kind = "mapped"
licence = "ours"
attribution = "ellipsoids"
heads = 2
[batch]
size = 6
synthetic = 2
[schedule]
steps = 4
"""


def test_heads_are_drawn_after_the_label_maps_that_data_names(tmp_path: Path) -> None:
    recipe = recipe_of(tmp_path, MAPPED)
    with pytest.raises(CannotStart, match="--data maps=FOLDER"):
        open_sources(recipe, {})
    maps = tmp_path / "maps"
    maps.mkdir()
    with pytest.raises(CannotStart, match="no label map"):
        open_sources(recipe, {"maps": maps})
    write_nifti(maps / "one.nii", head_labels())
    pools = fill(recipe, open_sources(recipe, {"maps": maps}), tmp_path / "cache", lambda _: None)
    assert set(pools.synthetic.patient) == {0, 1}
    assert (pools.synthetic.labels[:, 0] == 1).any()
    drawn = replace(recipe.sources[0], kind="synthetic", licence="", attribution="")
    by_formulas = Slices([open_part(part) for part in synthetic_parts(drawn, (), tmp_path / "cache", lambda _: None)])
    middle = np.array([len(by_formulas) // 4])
    assert not np.array_equal(pools.synthetic.hu(middle), by_formulas.hu(middle))


def test_64_heads_meet_all_16_maps() -> None:
    maps = tuple(Path(f"{number}.nii") for number in range(16))
    assert {map_of(maps, seed, run=HEADS_A_MAP) for seed in range(160, 224)} == set(maps)


def test_plain_heads_and_hard_ones_lie_beside_each_other(tmp_path: Path) -> None:
    hard = SourcePlan(name="heads", kind="synthetic", heads=2)
    folder = tmp_path / "cache"
    (of_hard,) = synthetic_parts(hard, (), folder, lambda _: None)
    (of_plain,) = synthetic_parts(replace(hard, hard=False), (), folder, lambda _: None)
    first = np.array([0])
    assert not np.array_equal(Slices([open_part(of_hard)]).hu(first), Slices([open_part(of_plain)]).hu(first))


def test_twins_differ_by_the_bleed_and_the_cells_say_where(heads: Slices) -> None:
    bleeding = np.flatnonzero(heads.labels[:, 0] == 1)
    assert bleeding.size > 8
    for k in bleeding:
        twin = heads.twin[k]
        assert heads.labels[twin].max() == 0
        assert heads.patient[twin] == heads.patient[k]
        both = heads.hu(np.array([k, twin])).astype(int)
        seen = np.kron(heads.cells(np.array([k]))[0, ..., 0] > 0.8 * WHOLE, np.ones((4, 4))) > 0
        changed = np.abs(both[0] - both[1]) > 8
        if seen.any():
            assert (both[0] - both[1])[seen].mean() > 5
        assert changed[~seen].mean() < 0.1


def test_twins_are_cut_out_at_one_place_and_faint_blood_teaches_nothing() -> None:
    exam = small_head(1)
    moved = phantom_slices(replace(exam, hu=np.roll(exam.clean_hu, 10, axis=2), faint=exam.labels[:, 0] == 1))
    bleeding = np.flatnonzero(moved.labels[:, 0] == 1)
    k = int(bleeding[bleeding.size // 2])
    assert np.array_equal(moved.hu[k, 20:-20, 20:-20], np.roll(moved.hu[moved.twin[k]], 10, axis=1)[20:-20, 20:-20])
    assert not moved.use[bleeding].any() and moved.use[moved.twin[k]]


def test_a_slice_without_a_head_is_of_no_use() -> None:
    hu = small_head(1).hu.copy()
    hu[4] = -1000
    part = source_slices(as_source(1, hu=hu), 0)
    assert not part.use[4] and part.use[[3, 5]].all()


def test_cells_are_posed_as_their_picture_and_outside_of_it_nothing_bleeds() -> None:
    cells = np.zeros((2, 56, 56, 6), np.uint8)
    cells[:, 20, 9] = WHOLE
    looks = draw_looks(np.random.default_rng(0), 2)
    rest = {name: np.zeros(2) for name in ("angle", "move_x", "move_y")} | {"scale": np.ones(2), "stretch": np.ones(2)}
    shares, known = look_cells(cells, replace(looks, **rest, mirror=np.array([False, True])), 56)
    assert [np.argwhere(one[0].numpy() > 0.5).tolist() for one in shares] == [[[20, 9]], [[20, 55 - 9]]]
    turned = replace(looks, **(rest | {"angle": np.full(2, 0.8), "scale": np.full(2, 0.8)}))
    assert (look_cells(cells, turned, 56)[1] > 0.99).all()  # what comes in is known to be none
    assert (known == 1).all()


def test_parts_read_as_one_are_what_was_written(heads: Slices, tmp_path: Path) -> None:
    first, second = (phantom_slices(small_head(seed)) for seed in (1, 2))
    with PartWriter(tmp_path / "a") as writer:
        writer.add(first)
        writer.add(second)
    read = Slices([open_part(tmp_path / "a"), second])
    assert len(read) == len(first) + 2 * len(second)
    np.testing.assert_array_equal(read.twin[len(first) :], np.r_[second.twin, second.twin + len(second)] + len(first))
    places = np.array([0, len(first) + 1, len(first) + len(second) + 1])
    np.testing.assert_array_equal(read.hu(places), np.stack([first.hu[0], second.hu[1], second.hu[1]]))
    np.testing.assert_array_equal(read.cells(places)[2], second.cells[1])


def test_a_part_that_was_cut_off_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), PartWriter(tmp_path / "a") as writer:
        writer.add(phantom_slices(small_head(1)))
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())
    (tmp_path / "a.part").mkdir()  # a killed process cannot tidy up
    with PartWriter(tmp_path / "a") as writer:
        writer.add(phantom_slices(small_head(1)))
    assert [one.name for one in tmp_path.iterdir()] == ["a"]


def test_a_box_means_its_ellipse_inside_the_skull_and_doubt_about_it() -> None:
    exam = small_head(1)
    k = int(np.argmax(exam.labels[:, 0] * np.arange(12) > 5))
    inside = find_anatomy(exam.hu[k], (1.0, 1.0))
    row, column = (round(one) for one in inside.centre_rc)
    left = int(np.flatnonzero(exam.hu[k, row] > -200)[0])  # the skin
    boxes = tuple(((left - 4.0, row - 20.0, column - 20.0, row + 20.0),) if i == k else () for i in range(12))
    part = source_slices(as_source(1, boxes=boxes), 7)
    cells = part.cells[k]
    assert (cells[..., 1:] == UNKNOWN).all()  # which kind it is, a box does not say
    blood = np.argwhere(cells[..., 0] == WHOLE)
    assert len(blood) > 40
    hu = part.hu[k].reshape(56, 4, 56, 4).mean(axis=(1, 3))
    assert hu[tuple(blood.T)].max() < 300  # neither bone
    at_skin = cells[28, : round((left - column + 112) / 4) + 1, 0]
    assert (at_skin == 0).all()  # nor scalp, which is known to be none
    assert (cells[..., 0] == UNKNOWN).sum() > 20
    assert cells[2, 2, 0] == 0
    unmarked = np.flatnonzero((exam.labels[:, 0] == 1) & (np.arange(12) != k))
    assert (part.cells[unmarked] == UNKNOWN).all()  # a bleed that nobody has marked may lie anywhere
    assert (part.cells[exam.labels[:, 0] == 0] == 0).all()
    assert set(part.patient) == {7}


def test_a_mask_means_its_own_cells() -> None:
    exam = small_head(1)
    masks = np.where(exam.lesions > 0, 255, 0).astype(np.uint8)
    part, truth = source_slices(as_source(1, masks=masks), 0), phantom_slices(exam)
    for k, twin in enumerate(truth.twin):
        if truth.labels[k, 0] == 1:
            assert np.abs(part.cells[twin, ..., 0].astype(int) - truth.cells[k, ..., 0]).max() <= WHOLE // 4


def test_a_label_nobody_knows_teaches_nothing() -> None:
    labels = torch.tensor([[1.0, -1, 0, -1, -1, -1]])
    logits = torch.zeros(1, 6, requires_grad=True)
    slice_loss(logits, labels).backward()
    assert (logits.grad != 0).tolist() == [[True, False, True, False, False, False]]
    heat = torch.zeros(1, 6, 2, 2, requires_grad=True)
    known = torch.ones(1, 6, 2, 2)
    known[:, :, 0, 0] = 0
    shares = torch.tensor([[0.0, 0.1], [0.3, 0.0]]).expand(1, 6, 2, 2)
    map_loss(heat, shares, known).backward()
    # Not known; partly blood; blood; empty.
    assert (heat.grad[0, 0] != 0).tolist() == [[False, False], [True, True]]


def test_a_batch_holds_what_the_recipe_says_and_twins_share_their_noise(heads: Slices, tmp_path: Path) -> None:
    recipe = plain_recipe(tmp_path, steps=9, batch="size = 8\nsynthetic = 3\nsynthetic_twins = 2")
    batches = Batches(only({"synthetic": heads}), recipe, np.zeros(0, np.int64))
    batch = batches.at(4)
    assert batch.image.shape == (8, 3, 224, 224)
    assert batch.shares.shape == batch.known.shape == (8, 6, 56, 56)
    assert batch.labels[:, 0].tolist() == [1, 1, 1, 0, 0, 0, 0, 0]
    for bleeding, twin in ((0, 3), (1, 4)):
        gap = (batch.image[bleeding] - batch.image[twin]).abs().amax(dim=0)
        lesion = torch.nn.functional.max_pool2d(batch.shares[bleeding, :1], 9, 1, 4).repeat_interleave(4, 1)
        lesion = lesion.repeat_interleave(4, 2)[0]
        assert gap[lesion == 0].max() < 0.2 < gap[lesion > 0].max()
        assert (batch.shares[twin] == 0).all()
    assert not torch.equal(batch.image[0], batch.image[1])


def test_a_twin_takes_the_look_of_its_bleeding_slice_and_every_other_slice_its_own() -> None:
    plan = BatchPlan(size=12, real_bleeds=1, pasted=3, twins=2, synthetic=2, synthetic_twins=1)
    assert _looks_of(plan).tolist() == [0, 1, 2, 3, 1, 2, 6, 7, 6, 9, 10, 11]


def test_a_batch_depends_on_its_number_alone(heads: Slices, tmp_path: Path) -> None:
    recipe = plain_recipe(tmp_path, steps=9, more="small_px = 192\nsmall_share = 0.5")
    one, other = (Batches(only({"synthetic": heads}), recipe, np.zeros(0, np.int64)) for _ in range(2))
    one.at(1)
    assert torch.equal(one.at(3).image, other.at(3).image)
    assert not torch.equal(one.at(3).image, other.at(4).image)
    assert (one.at(3).image.shape[-1], one.at(3).shares.shape[-1]) == (192, 48)
    assert one.at(5).image.shape[-1] == 224


def test_patients_left_out_are_in_no_batch_and_hard_slices_in_many(heads: Slices, tmp_path: Path) -> None:
    recipe = plain_recipe(tmp_path, steps=9, more="hard_share = 0.33")
    batches = Batches(only({"synthetic": heads}), recipe, np.array([1]))
    drawn = batches.others
    assert not (heads.patient[np.r_[drawn.free, drawn.bleeding]] == 1).any()
    with pytest.raises(CannotStart, match="a bleeding synthetic slice and a bleed-free slice"):
        Batches(only({"synthetic": heads}), recipe, np.array([1, 2, 3]))
    batches.hard = drawn.free[:1]
    crop = windowed(torch.from_numpy(heads.hu(drawn.free[:1]).astype(np.float32))[None])
    assert crop.shape == (1, 3, 224, 224)
    picked = [indices for number in range(20) for _, indices in batches._picks(np.random.default_rng(number))[-1:]]
    assert np.mean(np.concatenate(picked) == drawn.free[0]) > 0.3


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures") / "ours"
    write_pictures(folder, {f"head-{seed}": small_head(seed) for seed in (1, 2, 3)})
    return folder


def test_a_fold_trains_nothing_neither_itself_nor_as_a_host(pictures: Path, tmp_path: Path) -> None:
    recipe = recipe_of(tmp_path, PASTED)
    opening = open_sources(recipe, {"ours": pictures})
    out = {exam.patient for exam in opening.held_out["ours"].exams()}
    kept = {exam.patient for exam in opening.trains["ours"].exams()}
    assert (len(out), len(kept)) == (1, 2)
    assert not out & kept
    told: list[str] = []
    pasted = open_part(pasted_part(recipe, recipe.sources[1], opening.trains, 0, tmp_path, lambda _: None, told.append))
    assert told[0].split()[:2] == ["kind", "n"] and "with traces only" in told[-1]
    assert (pasted.labels[:, 0] == 1).sum() >= 6
    numbers = Numbers(recipe)
    assert set(pasted.patient) <= {numbers.of(exam) for exam in opening.trains["ours"].exams()}


def test_a_picture_on_both_sides_of_a_split_is_refused(pictures: Path, tmp_path: Path) -> None:
    recipe = recipe_of(tmp_path, PASTED)
    copied = tmp_path / "copied"
    shutil.copytree(pictures, copied)
    for k in range(12):  # one head under two names: whichever fold it is, its copy is in another
        for other in (2, 3):
            shutil.copyfile(copied / f"head-1-{k:02d}.npy", copied / f"head-{other}-{k:02d}.npy")
    with pytest.raises(CannotStart, match="trained on and held out"):
        open_sources(recipe, {"ours": copied})


def test_a_source_without_a_place_and_a_place_without_a_source_are_named(pictures: Path, tmp_path: Path) -> None:
    recipe = recipe_of(tmp_path, PASTED)
    with pytest.raises(CannotStart, match="--data ours=FOLDER"):
        open_sources(recipe, {})
    with pytest.raises(CannotStart, match="theirs"):
        open_sources(recipe, {"ours": pictures, "theirs": pictures})


def parts_of(part: Part) -> dict[str, NDArray[np.generic]]:
    return {name: getattr(part, name) for name in ("hu", "cells", "labels", "twin", "use", "patient")}


def test_a_round_of_pasting_is_the_same_whenever_it_is_made(pictures: Path, tmp_path: Path) -> None:
    recipe = recipe_of(tmp_path, PASTED)
    trains = open_sources(recipe, {"ours": pictures}).trains
    made = [
        open_part(pasted_part(recipe, recipe.sources[1], trains, number, tmp_path / where, lambda _: None))
        for number, where in ((0, "a"), (0, "b"), (1, "a"))
    ]
    for name, values in parts_of(made[0]).items():
        np.testing.assert_array_equal(values, parts_of(made[1])[name])
    assert made[0].hu.tobytes() != made[2].hu.tobytes()


class Vague(Kept):
    """A source that takes all that it holds for one exam, as a flat folder of DICOM files looks at first."""

    size = 1


def test_pastings_are_shared_out_among_the_exams_that_are_there(pictures: Path, tmp_path: Path) -> None:
    recipe = recipe_of(tmp_path, PASTED)
    trains = open_sources(recipe, {"ours": pictures}).trains["ours"]
    patients = frozenset(exam.patient for exam in trains.exams())
    vague = {"ours": Vague(trains, patients, 1)}
    pasted = open_part(pasted_part(recipe, recipe.sources[1], vague, 0, tmp_path, lambda _: None))
    assert len(patients) == len(set(pasted.patient)) == 2


def test_a_work_folder_begun_with_other_labels_or_pictures_is_refused(pictures: Path, tmp_path: Path) -> None:
    ours, work = tmp_path / "ours", tmp_path / "work"
    shutil.copytree(pictures, ours)
    work.mkdir()
    recipe = recipe_of(tmp_path, PASTED)
    for _ in range(2):
        refuse_other_data(work, open_sources(recipe, {"ours": ours}))
    moved = shutil.copytree(ours, tmp_path / "moved")
    refuse_other_data(work, open_sources(recipe, {"ours": moved}))
    table = ours / "rows.csv"
    lines = table.read_text(encoding="utf-8").splitlines()
    table.write_text("\n".join(lines[:-1]), encoding="utf-8")
    with pytest.raises(CannotStart, match=r"source ours holds other pictures or labels .* --work FOLDER"):
        refuse_other_data(work, open_sources(recipe, {"ours": ours}))
    picture = next(path for path in sorted(moved.iterdir()) if path.name != "rows.csv")
    picture.write_bytes(picture.read_bytes() + b"more")
    with pytest.raises(CannotStart, match="other pictures"):
        refuse_other_data(work, open_sources(recipe, {"ours": moved}))


def test_another_fold_or_seed_never_finds_the_parts_of_this_one(pictures: Path, tmp_path: Path) -> None:
    found = set()
    for text in (PASTED, PASTED.replace("hold_out = 1", "hold_out = 2"), "seed = 1" + PASTED):
        recipe = recipe_of(tmp_path, text)
        fill(recipe, open_sources(recipe, {"ours": pictures}), tmp_path / "cache", lambda _: None)
        parts = {one.name for one in (tmp_path / "cache").iterdir()}
        assert len(parts - found) == 2  # one of the source, one pasted
        found |= parts


def test_after_a_break_the_round_in_use_is_taken_up_though_earlier_ones_are_gone(tmp_path: Path) -> None:
    recipe = recipe_of(tmp_path, PASTED.replace("exams = 12", "exams = 12\nrounds = 4"))
    part = phantom_slices(small_head(1))
    for number in (0, 3):
        with PartWriter(round_folder(recipe, number, tmp_path)) as writer:
            writer.add(part)
    rounds = Rounds(recipe, {}, tmp_path)
    taken = rounds.at(3)  # the last of four steps
    assert taken is not None
    assert len(taken) == len(part)
    assert rounds.at(3) is None  # it is drawn from already
    rounds.close()
