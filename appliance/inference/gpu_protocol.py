"""What the child of the graphics card ends with, and what its parent may conclude from that.

Runs on Python 3.10; the standard library alone.
"""

from typing import Final

MAX_ORDER: Final = 256 << 20  # bytes of the test pictures and their answers
START_S: Final = 60.0  # until the child has to be ready
RUN_S: Final = 2.0  # until a run counts as hung; a batch takes a few milliseconds
RUN_GRACE_S: Final = 0.5  # the child keeps the deadline itself; its parent waits so much longer

FIELDS: Final = {
    "device": 10,  # no card, or none that answers the driver
    "plan": 11,  # refused: missing, damaged, built for something else, of another shape
    "cuda": 12,  # the card or TensorRT failed: no process may go on after that
    "golden": 13,  # wrong answers to the test pictures
    "deadline": 14,  # the card has not answered in time
    "fault": 1,  # something that nobody has thought of
    "install": 15,  # this Python lacks numpy, tensorrt or pycuda
}
"""What the child says of its end, and its exit code."""

REFUSALS: Final = frozenset({"device", "install", "plan", "golden"})
"""The child will not serve as things stand. The others mean that it tried and broke."""

CURED_BY_REBUILD: Final = frozenset({"plan", "golden"})
