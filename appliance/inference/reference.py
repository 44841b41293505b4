"""The optional reference of an engine: embeddings of real heads that it knows. The manifest names it, its hash vouches."""

import io
import zipfile
from typing import Final

import numpy as np

from appliance.core.familiar import Familiar, of_length_one
from appliance.inference.manifest_table import BadManifest, Table

REFERENCE: Final = "reference.npz"
TABLE: Final = "familiar"

_NEIGHBOURS_MOST: Final = 100
_FARTHEST: Final = 2.0  # between two of length 1


def familiar_of(manifest: Table, files: dict[str, bytes], embedding_size: int) -> Familiar | None:
    """What [familiar] and reference.npz say; None where the manifest has no such table.

    BadManifest where one is there without the other, or the file holds no such embeddings.
    """
    if (TABLE in manifest.values) != (REFERENCE in files):
        raise BadManifest(f"[{TABLE}] and {REFERENCE} in [files] go together")
    if TABLE not in manifest.values:
        return None
    said = manifest.table(TABLE)
    neighbours = said.whole("neighbours", 1, _NEIGHBOURS_MOST)
    try:
        with np.load(io.BytesIO(files[REFERENCE]), allow_pickle=False) as held:
            reference = np.asarray(held["embeddings"], dtype=np.float32)
    except (ValueError, KeyError, TypeError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise BadManifest(f"{REFERENCE} holds no embeddings ({error})") from None
    if reference.ndim != 2 or reference.shape[1] != embedding_size or not np.isfinite(reference).all():
        raise BadManifest(f"{REFERENCE} must hold finite embeddings [slices, {embedding_size}]")
    if len(reference) < neighbours:
        raise BadManifest(f"{REFERENCE} must hold at least {neighbours} embeddings, it holds {len(reference)}")
    most = said.number("most", 0, _FARTHEST)
    return Familiar(reference=of_length_one(reference), neighbours=neighbours, most=most)
