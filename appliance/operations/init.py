"""The first settings file."""

from pathlib import Path

from appliance.core.errors import CannotStart
from appliance.settings import commented_toml


def write_first_settings(config: Path, *, root: Path, inbox: Path, engine: Path) -> str:
    """Writes a commented file and returns the next steps. CannotStart if it is there already or cannot be written."""
    try:
        config.parent.mkdir(parents=True, exist_ok=True)
        with open(config, "x", encoding="utf-8") as file:
            file.write(commented_toml(root=root, inbox=inbox, engine=engine))
    except FileExistsError:
        raise CannotStart(f"{config} is there already and was left as it is.") from None
    except OSError as error:
        raise CannotStart(f"{config} cannot be written: {error.strerror}. Name another place or ask root.") from None
    return (
        f"Wrote {config}. Read it, then:\n"
        f"  bleedwatch db upgrade --config {config}\n"
        f"  bleedwatch doctor --config {config}\n"
        f"  bleedwatch run --config {config}"
    )
