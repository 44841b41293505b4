"""Every page in every state, looked at by axe-core, dark and light: nothing serious may be found."""

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from appliance.records.ledger import Ledger
from tests.real.browsing import station
from tests.real.picture_scenes import LADDER, SCENES, Shown
from tests.real.scenes import Scene
from tests.real.served import CONFIG, served

AXE = Path(__file__).resolve().parents[1] / "axe" / "node_modules" / "axe-core" / "axe.min.js"
SERIOUS = ("serious", "critical")
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
PHONE = (390, 844)


@pytest.fixture(scope="module")
def axe() -> str:
    if not AXE.is_file():
        pytest.skip("axe-core is not installed; `make test` installs it where there is npm")
    return AXE.read_text(encoding="utf-8")


def found(page: Any, axe: str) -> list[str]:
    """What is serious on this page: rule, what it wants, where."""
    page.evaluate(axe)
    result = page.evaluate("(tags) => axe.run(document, { runOnly: tags })", RULES)
    assert len(result["passes"]) > 10, "it has really looked"
    return [
        f"{fault['id']}: {fault['help']}: {node['target']} {node['failureSummary']}"
        for fault in result["violations"]
        if fault["impact"] in SERIOUS
        for node in fault["nodes"]
    ]


@pytest.mark.parametrize("shown", [one for one in SCENES if one.live], ids=lambda one: one.name)
def test_nothing_serious_is_found(shown: Shown, axe: str, browser: Any, ledger_path: Path, tmp_path: Path) -> None:
    with Ledger.open(ledger_path) as ledger:
        scene = Scene(ledger=ledger, store=tmp_path / "store", now_ns=time.time_ns())
        study = getattr(shown.build(scene), "study_id", 0)
        with served(ledger_path, scene.store, config=replace(CONFIG, escalation=LADDER)) as board:
            shown.tell(board, study)
            address = board.address + shown.path.format(study=study)
            # The last one on a phone, after which the box may stop.
            for theme, more in (("dark", {}), ("light", {}), ("dark", {"size_px": PHONE})):
                with station(
                    browser, address, theme=theme, name="R. Example" if shown.named else "",
                    bypass_csp=True, reduced_motion="reduce", **more, **shown.context,
                ) as page:  # fmt: skip
                    if shown.without_box and more:
                        board.stop.set()
                        shown.prepare(page)
                    elif not shown.without_box:
                        shown.prepare(page)
                    assert found(page, axe) == []
