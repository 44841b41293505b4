"""Two networks that answer as one, told apart again when the engine is trained further."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

torch = pytest.importorskip("torch")

from appliance.core.engine import TrainedOn, Window  # noqa: E402
from appliance.core.errors import CannotStart  # noqa: E402
from appliance.inference.loading import load_engine  # noqa: E402
from appliance.inference.manifest import read_engine  # noqa: E402
from appliance.inference.windows import apply_windows  # noqa: E402
from appliance.training.command import Wish, train  # noqa: E402
from appliance.training.folding import beside_of, network_of, second_of  # noqa: E402
from appliance.training.network import SliceNetwork  # noqa: E402
from appliance.training.networks import build_network  # noqa: E402
from appliance.training.pair import PairNet, spec_of  # noqa: E402
from appliance.training.picture import INPUT  # noqa: E402
from appliance.training.plans import NetworkPlan  # noqa: E402
from tests.training_engines import write_engine  # noqa: E402

BONE = Window(center=600, width=2800)
OTHER_WINDOWS = (INPUT.windows[0], BONE, INPUT.windows[2])
OWES = TrainedOn(name="theirs", licence="CC BY 4.0", attribution="A. Author", patients=3, slices=90)


RECIPE = """\
[network]
kind = "plain"
[[source]]
name = "heads"
kind = "synthetic"
heads = 2
hard = false
[batch]
size = 6
synthetic = 2
synthetic_twins = 1
[schedule]
steps = 3
[calibration]
exams = 4
"""


def trained(kind: str, seed: int) -> SliceNetwork:
    torch.manual_seed(seed)
    network = build_network(NetworkPlan(kind=kind))
    network(torch.rand(4, 3, 192, 192))  # batch norms that have seen something
    return network.eval()


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """An engine of its own, one that looks through other windows, and the pair of both."""
    place = tmp_path_factory.mktemp("engines")
    first, other = trained("lite0", 1), trained("plain", 2)
    alone = write_engine(first, place / "alone")
    beside = write_engine(other, place / "beside", replace(INPUT, windows=OTHER_WINDOWS), (OWES,))
    found = beside_of(read_engine(beside), "it")
    pair = write_engine(PairNet(first, found), place / "pair", spec_of(found), found.trained_on)
    return {"alone": alone, "beside": beside, "pair": pair}


def answers(folder: Path, hu: NDArray[np.float32]) -> tuple[NDArray[np.float32], ...]:
    engine = load_engine(folder)
    answer = engine.backend.run(apply_windows(hu, engine.card.input)[None])
    engine.backend.close()
    return answer.logits, answer.embedding, answer.heat


def test_a_pair_mixes_whether_and_keeps_the_kinds_of_the_first_each_through_its_own_windows(
    folders: dict[str, Path],
) -> None:
    hu = np.random.default_rng(4).uniform(-1000, 1500, (224, 224)).astype(np.float32)
    alone, beside, pair = (answers(folders[name], hu) for name in ("alone", "beside", "pair"))
    assert load_engine(folders["pair"]).card.input.windows == (*INPUT.windows, BONE)
    for place, near in ((0, 1e-4), (2, 1e-3)):  # logits [6], heat [6, 56, 56]: "any" stands first
        mine, first, second = pair[place], alone[place], beside[place]
        np.testing.assert_allclose(mine[0], 0.75 * first[0] + 0.25 * second[0], atol=near)
        np.testing.assert_allclose(mine[1:], first[1:], atol=near)
    np.testing.assert_allclose(pair[1], alone[1], atol=1e-4)
    assert np.abs(alone[0] - beside[0]).min() > 0.01, "two networks that say the same would prove nothing"


def test_both_are_read_back_from_the_engine_and_the_second_owes_what_it_owed(folders: dict[str, Path]) -> None:
    pair = read_engine(folders["pair"])
    first, second = network_of(pair, "lite0", "it").eval(), second_of(pair, "it")
    assert second is not None and second.windows == OTHER_WINDOWS and second.trained_on == (OWES,)
    assert second.share == 0.25
    image = torch.rand(1, 3, 224, 224)
    for found, name in ((first, "alone"), (second.network, "beside")):
        whole = beside_of(read_engine(folders[name]), "it").network
        for mine, other in zip(found(image), whole(image), strict=True):
            torch.testing.assert_close(mine, other)
    assert second_of(read_engine(folders["alone"]), "it") is None


def test_a_second_network_keeps_the_share_that_it_had(folders: dict[str, Path], tmp_path: Path) -> None:
    found = replace(beside_of(read_engine(folders["beside"]), "it"), share=0.5)
    first = network_of(read_engine(folders["alone"]), "lite0", "it")
    louder = second_of(read_engine(write_engine(PairNet(first, found), tmp_path / "pair", spec_of(found))), "it")
    assert louder is not None and louder.share == 0.5


def test_what_cannot_stand_beside_another_is_refused_in_words(folders: dict[str, Path]) -> None:
    pair = read_engine(folders["pair"])
    with pytest.raises(CannotStart, match=r"a pair of networks.*--from"):
        beside_of(pair, "The engine in here")
    with pytest.raises(CannotStart, match="no network of kind plain"):
        network_of(pair, "plain", "The engine in here")
    with pytest.raises(CannotStart, match="other windows"):
        network_of(read_engine(folders["beside"]), "plain", "The engine in here")
    card = replace(pair.card, input=replace(pair.card.input, spacing_mm=0.5))
    with pytest.raises(CannotStart, match="cannot answer beside another"):
        second_of(replace(pair, card=card), "The engine in here")


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_who_trains_beside_another_and_then_further_keeps_the_second_as_it_was(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(RECIPE, encoding="utf-8")
    train(Wish(recipe=recipe, out=tmp_path / "pair", work=tmp_path / "work", beside=folders["beside"]))
    further = Wish(recipe=recipe, out=tmp_path / "further", work=tmp_path / "more", start=tmp_path / "pair")
    train(further)
    stood = beside_of(read_engine(folders["beside"]), "it").network.state_dict()
    for name in ("pair", "further"):
        engine = read_engine(tmp_path / name)
        second = second_of(engine, "it")
        assert second is not None and OWES in engine.trained_on
        assert all(torch.equal(value, stood[key]) for key, value in second.network.state_dict().items())
    first, later = (network_of(read_engine(tmp_path / name), "plain", "it") for name in ("pair", "further"))
    assert not torch.equal(first.heat.bias, later.heat.bias)
