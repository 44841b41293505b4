"""Names below the inbox as text for the ledger. A name is any bytes; no database takes that for text."""

import os

_HEX = "hex:"


def path_text(name: str) -> str:
    """A name as text that any database takes: names that are not UTF-8 as hexadecimal bytes."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return _HEX + os.fsencode(name).hex()
    return name


def name_of(path_text: str) -> str:
    return os.fsdecode(bytes.fromhex(path_text.removeprefix(_HEX))) if path_text.startswith(_HEX) else path_text
