"""The licence gate: nothing under the GPL in what ships, every distribution under a licence that is on the list.

Run inside an environment that holds exactly what the lock holds.
"""

import json
import subprocess
import sys
from importlib.metadata import distributions

# Permissive, or weak copyleft that asks nothing of a program that only uses the package.
ALLOWED = (
    "MIT", "BSD", "Apache", "ISC", "PSF", "Python Software Foundation", "MPL", "Mozilla Public License",
    "Unlicense", "Zlib", "CC0", "HPND", "0BSD", "Public Domain", "BlueOak",
)  # fmt: skip
# Wheels that declare no licence in a way that a machine can read; looked up by hand in their sources.
BY_HAND = {
    "pysqlite3": "zlib",
}
FORBIDDEN_PACKAGES = {"pylibjpeg-libjpeg", "python-gdcm"}
# The environment's own installer, and the tool that reads the licences.
NOT_SHIPPED = {"pip", "setuptools", "wheel", "bleedwatch"}


def declared() -> dict[str, str]:
    """Licence text by package name, from what each wheel declares."""
    listed = subprocess.run(
        [sys.executable, "-m", "piplicenses", "--from=mixed", "--format=json", "--with-system"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return {row["Name"].lower(): row["License"] for row in json.loads(listed.stdout)}


def fault(name: str, licence: str) -> str | None:
    """What is wrong with one package, or None."""
    if name in FORBIDDEN_PACKAGES:
        return f"{name} must not be installed"
    licence = BY_HAND.get(name, licence)
    if "GPL" in licence.upper().replace("LGPL", "") or "GNU GENERAL" in licence.upper():
        return f"{name} is under {licence}"
    if not any(word.lower() in licence.lower() for word in ALLOWED):
        return f"{name} declares {licence!r}, which is on no list; look it up and add it by hand"
    return None


def main() -> int:
    """Prints what is wrong; 0 if nothing is."""
    licences = declared()
    unlisted = {dist.metadata["Name"].lower() for dist in distributions()} - licences.keys() - NOT_SHIPPED
    faults = [f"{name} was not listed" for name in sorted(unlisted)]
    faults += [
        said for name, licence in sorted(licences.items())
        if name not in NOT_SHIPPED and (said := fault(name, licence))
    ]  # fmt: skip
    for said in faults:
        print(said, file=sys.stderr)
    print(f"{len(licences)} distributions, {len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
