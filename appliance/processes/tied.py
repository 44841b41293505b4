"""A program tied to whoever started it: `python -m appliance.processes.tied PARENT_PID PROGRAM [WORD ...]`.

It becomes PROGRAM, and the kernel ends it with its parent, even one that was killed with `kill -9`.
"""

import os
import sys
from collections.abc import Sequence

from appliance.processes.children import die_with


def tied(command: Sequence[str]) -> list[str]:
    """The command that runs `command` tied to the calling thread: start it from a thread that stays."""
    return [sys.executable, "-m", "appliance.processes.tied", str(os.getpid()), *command]


def main(arguments: Sequence[str]) -> None:
    """Never comes back: what was asked of the kernel outlives the change of program."""
    parent_pid, *command = arguments
    die_with(int(parent_pid))
    os.execv(command[0], command)


if __name__ == "__main__":
    main(sys.argv[1:])
