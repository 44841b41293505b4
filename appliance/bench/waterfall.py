"""One exam, slice by slice: where its time went."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from appliance.bench.figures import NS_PER_MS
from appliance.core.ledger import AlertRow, SliceRow
from appliance.operations.measuring import Outside, evidence_slice

PARTS: Final = ("open", "read", "store", "anatomy", "prepare", "engine")
"""The stages that the appliance times itself, in their order. What is left of a slice's time is commits and waiting."""


def waterfall_of(
    said: str,
    rows: Sequence[SliceRow],
    alert: AlertRow | None,
    outside: Outside,
    closed_ns: Mapping[str, int],
    seen_ns: Mapping[int, int],
) -> dict[str, Any] | None:
    """Milliseconds since the first slice was due, in the order of landing; None where no slice has been measured.

    Of each stage its length is known and not its place, so the parts of a slice stand behind each other, waiting last.
    """
    landed = sorted(
        (row for row in rows if row.sop_uid in outside.landed_ns), key=lambda row: outside.landed_ns[row.sop_uid]
    )
    if not landed:
        return None
    begin_ns = outside.landed_ns[landed[0].sop_uid]

    def since(at_ns: int | None) -> float | None:
        return None if at_ns is None else (at_ns - begin_ns) / NS_PER_MS

    evidence = evidence_slice(rows, outside)
    alert_id = alert.id if alert else -1
    return {
        "said": said,
        "parts": list(PARTS),
        "slices": [
            {
                "due_ms": since(outside.landed_ns[row.sop_uid]),
                "landed_ms": since(closed_ns.get(row.sop_uid)),
                "scored_ms": since(outside.seen.scored_ns.get(row.id)),
                "ms": {part: row.ms[part] for part in PARTS if part in row.ms},
                "evidence": evidence is not None and row.id == evidence.id,
            }
            for row in landed
        ],
        "alert_ms": since(next((at_ns for event, at_ns in outside.seen.events if event.alert_id == alert_id), None)),
        "page_ms": since(seen_ns.get(alert_id)),
        "final_ms": since(outside.seen.final_ns.get(landed[0].series_id)),
    }
