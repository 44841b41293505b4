"""What tests of more than one room need."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.records.ledger import Ledger
from appliance.records.upgrade import upgrade


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger without rows, brought to today's form once a session. Copy it, never open it."""
    path = tmp_path_factory.mktemp("migrated") / "ledger.db"
    upgrade(path)
    return path


@pytest.fixture
def ledger_path(migrated: Path, tmp_path: Path) -> Path:
    """A ledger of this test's own, not opened."""
    return Path(shutil.copy(migrated, tmp_path / "ledger.db"))


@pytest.fixture
def ledger(ledger_path: Path) -> Iterator[Ledger]:
    """A ledger of this test's own, without rows."""
    with Ledger.open(ledger_path) as opened:
        yield opened
