"""Studies by what a person types: a name, an ID, an accession number."""

from typing import Final

import sqlalchemy as sa

from appliance.core.seeking import matches
from appliance.records.ledger import Connection
from appliance.records.models import study

MOST_FOUND: Final = 500
"""Who finds more types more."""


def search_studies(r: Connection, words: tuple[str, ...]) -> list[int]:
    """Ids of the studies, open or closed, in whose name, ID or accession number all words stand; the newest first.

    `words` as `core.seeking.words_of` gives them. Compared here and not in SQL, whose LIKE knows neither accents nor the
    parts of a name, and takes % and _ for something else.
    """
    columns = (study.c.id, study.c.patient_name, study.c.patient_id, study.c.accession)
    newest = sa.select(*columns).order_by(study.c.last_landed_ns.desc(), study.c.id.desc())
    found: list[int] = []
    for row in r.execute(newest):
        if matches(words, row.patient_name, row.patient_id, row.accession):
            found.append(row.id)
            if len(found) == MOST_FOUND:
                break
    return found
