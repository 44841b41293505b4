"""A stand-in for `pycuda.driver`: memory of the card is memory of this process, and a stream is a list of work.

Nothing on a stream is done before somebody asks for its end, and then not at the first asking: who reads too early
reads nothing. Every call wants a current context, as the real one does. STANDIN_TRACE names a file for the order in
which things are made and freed. STANDIN_OOM: there is no memory.
"""

import ctypes
import itertools
import os
import threading
import time
import weakref

import numpy as np

_cuda = ctypes.CDLL("libcuda.so.1")
_here = threading.local()
_numbers = itertools.count(4096)
_streams = weakref.WeakValueDictionary()
_graphs = {}
_failed = []  # once the card has failed, everything fails


class Error(Exception):
    """Of the driver."""


class LogicError(Error):
    pass


class MemoryError(Error):
    pass


def trace(what):
    """One line in the trace of this process."""
    if "STANDIN_TRACE" in os.environ:
        with open(os.environ["STANDIN_TRACE"], "a") as file:
            file.write(what + "\n")


def _want_context(call):
    if _failed:
        raise LogicError(f"{call} failed: an illegal memory access was encountered")
    if not getattr(_here, "contexts", None):
        raise LogicError(f"{call} failed: invalid device context")


class device_attribute:
    MULTIPROCESSOR_COUNT = 16


class event_flags:
    DEFAULT, BLOCKING_SYNC, DISABLE_TIMING = 0, 1, 2


def init(flags=0):
    if code := _cuda.cuInit(flags):
        raise LogicError(f"cuInit failed: {code}")


def get_driver_version():
    version = ctypes.c_int()
    _cuda.cuDriverGetVersion(ctypes.byref(version))
    return version.value


class Context:
    def __init__(self, device):
        self.device = device
        trace("primary context retained")

    def push(self):
        if not hasattr(_here, "contexts"):
            _here.contexts = []
        _here.contexts.append(self)

    def detach(self):
        _want_context("cuDevicePrimaryCtxRelease")
        _here.contexts.remove(self)
        trace("primary context released")


class Device:
    def __init__(self, number):
        self.number = number

    def retain_primary_context(self):
        return Context(self)

    def name(self):
        name = ctypes.create_string_buffer(256)
        _cuda.cuDeviceGetName(name, 256, self.number)
        return name.value.decode()

    def compute_capability(self):
        return self.get_attribute(75), self.get_attribute(76)

    def get_attribute(self, attribute):
        value = ctypes.c_int()
        _cuda.cuDeviceGetAttribute(ctypes.byref(value), attribute, self.number)
        return value.value

    def total_memory(self):
        value = ctypes.c_size_t()
        _cuda.cuDeviceTotalMem_v2(ctypes.byref(value), self.number)
        return value.value


class Stream:
    def __init__(self, flags=0):
        _want_context("cuStreamCreate")
        self.handle = next(_numbers)
        self.work = []
        self.captured = None
        _streams[self.handle] = self
        trace("stream made")

    def put(self, work):
        (self.work if self.captured is None else self.captured).append(work)

    def __del__(self):
        trace("stream freed")


def stream_of(handle):
    """For the stand-in of TensorRT."""
    _want_context("cuLaunchKernel")
    return _streams[handle]


class Event:
    def __init__(self, flags=0):
        _want_context("cuEventCreate")
        self._waiting = []
        self._asked = True

    def record(self, stream):
        _want_context("cuEventRecord")
        assert stream.captured is None
        self._waiting, stream.work, self._asked = stream.work, [], False
        return self

    def query(self):
        _want_context("cuEventQuery")
        if not self._asked:
            self._asked = True
            return False
        while self._waiting:
            said = self._waiting[0]()
            if said == "hang":
                return False
            if said == "block":
                time.sleep(1000)
            if said == "fail":
                _failed.append(True)
                raise LogicError("cuEventQuery failed: an illegal memory access was encountered")
            self._waiting.pop(0)
        return True


def pagelocked_empty(shape, dtype, order="C", mem_flags=0):
    _want_context("cuMemHostAlloc")
    return np.full(shape, np.nan, dtype)


class DeviceAllocation:
    def __init__(self, size):
        self.memory = np.full(size, 0xFF, np.uint8)  # no number, until something is computed
        trace("memory made")

    def __int__(self):
        return self.memory.ctypes.data

    def free(self):
        _want_context("cuMemFree")
        self.memory = None
        trace("memory freed")


def mem_alloc(size):
    _want_context("cuMemAlloc")
    if "STANDIN_OOM" in os.environ:
        raise MemoryError("cuMemAlloc failed: out of memory")
    return DeviceAllocation(size)


def memcpy_htod_async(dest, src, stream=None):
    _want_context("cuMemcpyHtoDAsync")
    assert src.flags.c_contiguous

    def copy():
        dest.memory[: src.nbytes] = src.reshape(-1).view(np.uint8)

    stream.put(copy)


def memcpy_dtoh_async(dest, src, stream=None):
    _want_context("cuMemcpyDtoHAsync")
    assert dest.flags.c_contiguous

    def copy():
        dest.reshape(-1).view(np.uint8)[:] = src.memory[: dest.nbytes]

    stream.put(copy)


@ctypes.CFUNCTYPE(None, ctypes.c_ssize_t)
def _on_begin(handle):
    _streams[handle].captured = []


@ctypes.CFUNCTYPE(ctypes.c_ssize_t, ctypes.c_ssize_t)
def _on_end(handle):
    stream = _streams[handle]
    work, stream.captured = stream.captured, None
    number = next(_numbers)
    _graphs[number] = work
    trace(f"graph of {len(work)} captured")
    return number


@ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_ssize_t, ctypes.c_ssize_t)
def _on_launch(graph, handle):
    _streams[handle].work += _graphs[graph]
    trace("graph launched")
    return 0


@ctypes.CFUNCTYPE(None, ctypes.c_ssize_t)
def _on_destroy(graph):
    _want_context("cuGraphDestroy")
    del _graphs[graph]
    trace("graph freed")


_cuda.standin_register(_on_begin, _on_end, _on_launch, _on_destroy)
