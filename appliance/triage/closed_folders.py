"""Folders below the inbox that may not be entered: what lands there is not seen, and that is said."""

from typing import Final

from appliance.core.times import Now
from appliance.triage.technical import TechnicalAlerts

CODE: Final = "inbox-folders-closed"
SUBJECT: Final = "inbox"


class ClosedFolders:
    """Tells how many, and never which: folders are named after patients."""

    def __init__(self, technical: TechnicalAlerts) -> None:
        self._technical = technical
        self._last = 0

    def seen(self, closed: int, now: Now) -> bool:
        """What a sweep has found. More of them than were told of are news; with the last one it is mended.

        Returns whether there are fewer than before: those that can be entered now are not watched yet.
        """
        if closed == 0:
            self._technical.mend(CODE, SUBJECT, now, "they can be opened now")
        elif closed > self._last:
            folders = f"{closed} folder{'' if closed == 1 else 's'}"
            self._technical.count(CODE, SUBJECT, now, closed, folders=folders)
        before, self._last = self._last, closed
        return closed < before
