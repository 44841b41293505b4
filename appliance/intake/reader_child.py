"""The program that reads files: a limited child. `python -m appliance.intake.reader_child REQUEST_FD ANSWER_FD PARENT`.

It limits itself, loads its decoders, says that it is ready, and then answers one file at a time until its parent closes
the pipe or dies.
"""

import logging
import sys
from typing import TYPE_CHECKING, Final

from appliance.processes.children import MIB, ChildEnd, Limits, allow_cpu, die_with, limit_myself

if TYPE_CHECKING:
    from collections.abc import Callable

    from appliance.core.reads import ReadFile

LIMITS: Final = Limits(memory_bytes=1536 * MIB, cpu_s=30, open_files=64)
MAX_REQUEST: Final = 64 * MIB


def main(arguments: list[str]) -> int:
    """Reads until the parent is done with us."""
    request_fd, answer_fd, parent_pid = map(int, arguments)
    die_with(parent_pid)
    limit_myself(LIMITS)
    # What a library says of a header may hold a patient's name.
    logging.getLogger("pydicom").disabled = True
    from appliance.imaging.reading import read_bytes  # after the limits: this loads the decoders
    from appliance.intake.reader_protocol import packed_read

    end = ChildEnd(request_fd, answer_fd, MAX_REQUEST)
    end.answer({"ready": True})
    while (request := end.receive()) is not None:
        allow_cpu(LIMITS)
        read = _guarded(read_bytes, request.body, str(request.head["name"]), request.head.get("size"))
        head, pixels = packed_read(read)
        end.answer({**head, "id": request.head["id"]}, pixels)
    return 0


def _guarded(read_bytes: "Callable[..., ReadFile]", data: bytes, name: str, size: int | None) -> "ReadFile":
    """The verdict, whatever the file does to us short of killing us."""
    from appliance.core.reads import ReadFile
    from appliance.core.words import FileVerdict

    try:
        return read_bytes(data, name, size)
    except (KeyboardInterrupt, SystemExit):
        raise
    except MemoryError:
        return ReadFile(verdict=FileVerdict.SET_ASIDE, reason="bomb")
    except RecursionError:
        return ReadFile(verdict=FileVerdict.SET_ASIDE, reason="too-deep")
    except BaseException as error:  # noqa: BLE001 - a panic of a native decoder is no Exception; this is the border
        sys.stderr.write(f"reader: {type(error).__name__} while reading a file; it is set aside\n")
        return ReadFile(verdict=FileVerdict.SET_ASIDE, reason="decode-failed")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
