"""The ledger, by hand."""

import sys

from appliance.records.check import check
from appliance.records.ledger import Ledger
from appliance.records.upgrade import upgrade
from appliance.settings import Settings


def upgrade_database(settings: Settings) -> str:
    """Makes the ledger or brings it to this version's form. Returns what was done, in words. CannotStart if it cannot."""
    before, after = upgrade(settings.database)
    if before is None:
        return f"A new ledger stands in {settings.database} (form {after})."
    if before == after:
        return f"The ledger {settings.database} has the form that this version needs ({after})."
    return f"The ledger {settings.database} was brought from form {before} to {after}."


def check_database(settings: Settings) -> int:
    """Prints every fault found. Returns 0 if there is none, else 1."""
    ledger = Ledger.open(settings.database)
    try:
        faults = check(ledger)
    finally:
        ledger.close()
    for fault in faults:
        sys.stdout.write(f"{fault}\n")
    sys.stdout.write("The ledger is sound.\n" if not faults else f"{len(faults)} faults. Restore the last backup.\n")
    return 1 if faults else 0
