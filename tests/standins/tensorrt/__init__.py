"""A stand-in for tensorrt, for tests on a machine without a graphics card. It knows what our code asks of it, no more.

STANDIN_SEGFAULT: touching it ends the process, as the real one does where there is no card.
"""

import os
import signal

if "STANDIN_SEGFAULT" in os.environ:
    os.kill(os.getpid(), signal.SIGSEGV)

from tensorrt._runtime import *  # noqa: F403
from tensorrt._runtime import __version__  # noqa: F401


def __getattr__(name):
    """What only who builds asks for: it wants the onnx package, which who runs a plan may lack."""
    if name.startswith("_"):
        raise AttributeError(name)
    from tensorrt import _builder

    return getattr(_builder, name)
