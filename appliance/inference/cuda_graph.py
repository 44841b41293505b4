"""Work of a CUDA stream, captured once and launched as one: pycuda has no calls for it, libcuda has.

The captured work keeps the addresses it was captured with. Runs on Python 3.10; the standard library alone.
"""

import ctypes
from collections.abc import Callable
from typing import Any, Final

_LIBRARY: Final = "libcuda.so.1"
_THREAD_LOCAL: Final = 1  # CU_STREAM_CAPTURE_MODE_THREAD_LOCAL: other threads of the process may use the card meanwhile


class NoGraph(Exception):
    """The work could not be captured. The message says where; the stream can be used as before."""


class CapturedWork:
    """One captured graph. Belongs to the thread and the CUDA context that made it."""

    def __init__(self, stream: int, work: Callable[[], None]) -> None:
        """Captures what `work` puts on the stream (its handle). It has to have run once before. NoGraph."""
        self._cuda = ctypes.CDLL(_LIBRARY)
        self._stream = ctypes.c_void_p(stream)
        self._graph = ctypes.c_void_p()
        self._ready = ctypes.c_void_p()
        self._capture(work)
        try:
            self._call("cuGraphInstantiateWithFlags", ctypes.byref(self._ready), self._graph, ctypes.c_ulonglong(0))
            self._call("cuGraphUpload", self._ready, self._stream)
        except NoGraph:
            self.close()
            raise

    def launch(self) -> int:
        """Puts the work on the stream. The driver's code: 0, or what went wrong."""
        code: int = self._cuda.cuGraphLaunch(self._ready, self._stream)
        return code

    def close(self) -> None:
        """Gives its memory back. Closing twice is no fault."""
        if self._ready:
            self._cuda.cuGraphExecDestroy(self._ready)
        if self._graph:
            self._cuda.cuGraphDestroy(self._graph)
        self._ready, self._graph = ctypes.c_void_p(), ctypes.c_void_p()

    def _capture(self, work: Callable[[], None]) -> None:
        """A capture that has begun is always ended: until then the stream is of no other use."""
        self._call("cuStreamBeginCapture_v2", self._stream, ctypes.c_int(_THREAD_LOCAL))
        try:
            work()
        except BaseException:
            self._cuda.cuStreamEndCapture(self._stream, ctypes.byref(self._graph))
            self.close()
            raise
        self._call("cuStreamEndCapture", self._stream, ctypes.byref(self._graph))

    def _call(self, name: str, *words: Any) -> None:
        try:
            call = getattr(self._cuda, name)
        except AttributeError:
            raise NoGraph(f"the driver has no {name}") from None
        code = call(*words)
        if code:
            raise NoGraph(f"{name} answered {code}")
