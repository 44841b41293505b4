"""The half of the stand-in that runs plans. ONNX Runtime gives the answers, so they are real.

A picture whose first value is 7777 makes it fail in the way that STANDIN_FAULT says: "hang" (never done), "block" (the
asking never comes back), "fail" (an illegal address), "crash" (SIGSEGV), "exit" (code 3), "nan".
STANDIN_WRONG is added to each logit, STANDIN_WRONG_BATCH only where slices come together. STANDIN_REFUSE=execute|context|address|shape|runtime: that call says no; raise: making
a context throws; memory: the card has no room for a plan. STANDIN_DTYPE: the type that the plan's outputs say they have.
STANDIN_FIXED: a plan for one slice alone says 1, not -1, for its first axis.
"""

import ctypes
import enum
import os
import signal
import weakref

import numpy as np
import onnxruntime
from pycuda.driver import stream_of, trace
from tensorrt._plan import unpack_plan

__version__ = os.environ.get("STANDIN_TENSORRT", "10.16.1.11")
_FAULT_AT = 7777


class ILogger:
    class Severity(enum.Enum):
        INTERNAL_ERROR = 0
        ERROR = 1
        WARNING = 2
        INFO = 3
        VERBOSE = 4

    def __init__(self):
        self._base_was_called = True


class TensorIOMode(enum.Enum):
    NONE, INPUT, OUTPUT = range(3)


class DataType(enum.Enum):
    FLOAT, HALF, INT8, INT32 = range(4)


_FLAGS = {8: ["EXPLICIT_BATCH"], 10: ["EXPLICIT_BATCH", "STRONGLY_TYPED"], 11: ["STRONGLY_TYPED"]}
NetworkDefinitionCreationFlag = enum.IntEnum(
    "NetworkDefinitionCreationFlag",
    {name: number for number, name in enumerate(_FLAGS[int(__version__.split(".")[0])])},
)


def _refuses(call):
    return os.environ.get("STANDIN_REFUSE") == call


class Runtime:
    def __init__(self, logger):
        assert logger._base_was_called
        if _refuses("runtime"):
            raise TypeError("factory function returned nullptr")
        self._logger = logger
        trace("runtime made")

    def deserialize_cuda_engine(self, plan):
        try:
            bound_to, onnx = unpack_plan(plan)
        except ValueError as error:
            self._logger.log(ILogger.Severity.ERROR, f"IRuntime::deserializeCudaEngine: {error}")
            return None
        if bound_to["version"] != __version__:
            self._logger.log(ILogger.Severity.ERROR, "the engine plan file is not compatible with this version")
            return None
        if _refuses("memory"):
            self._logger.log(
                ILogger.Severity.ERROR, "[defaultAllocator.cpp] Error Code 1: Cuda Runtime (out of memory)"
            )
            return None
        return ICudaEngine(self._logger, bound_to, onnx)

    def __del__(self):
        trace("runtime freed")


class ICudaEngine:
    def __init__(self, logger, bound_to, onnx):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 4
        self.session = onnxruntime.InferenceSession(onnx, options, providers=["CPUExecutionProvider"])
        self.logger = logger
        self._profile = bound_to["profile"]
        self._inputs = {one.name: one for one in self.session.get_inputs()}
        self._tensors = list(self._inputs.values()) + list(self.session.get_outputs())
        self.num_io_tensors = len(self._tensors)
        trace("engine made")

    def get_tensor_name(self, index):
        return self._tensors[index].name

    def get_tensor_mode(self, name):
        return TensorIOMode.INPUT if name in self._inputs else TensorIOMode.OUTPUT

    def get_tensor_shape(self, name):
        first = 1 if "STANDIN_FIXED" in os.environ and self._profile[-1] == 1 else -1
        return (first, *next(one.shape for one in self._tensors if one.name == name)[1:])

    def get_tensor_dtype(self, name):
        return DataType.FLOAT if name in self._inputs else DataType[os.environ.get("STANDIN_DTYPE", "FLOAT")]

    def get_tensor_profile_shape(self, name, index):
        assert index == 0
        return [(count, *self.get_tensor_shape(name)[1:]) for count in self._profile]

    def create_execution_context(self):
        if _refuses("raise"):
            raise RuntimeError("a std::exception")
        return None if _refuses("context") else IExecutionContext(self)

    def __del__(self):
        trace("engine freed")


class IExecutionContext:
    active_optimization_profile = -1

    def __init__(self, engine):
        self._engine = engine
        self._addresses = {}
        self._shape = self._done = None
        trace("context made")

    def set_optimization_profile_async(self, index, stream_handle):
        stream_of(stream_handle)
        self.active_optimization_profile = index
        return index == 0

    def set_input_shape(self, name, shape):
        assert self.active_optimization_profile == 0
        least, _, most = self._engine.get_tensor_profile_shape(name, 0)
        if _refuses("shape") or not least[0] <= shape[0] <= most[0]:
            return False
        self._shape = tuple(shape)
        return True

    def set_tensor_address(self, name, memory):
        self._addresses[name] = memory
        return not _refuses("address")

    def execute_async_v3(self, stream_handle):
        if _refuses("execute"):
            self._engine.logger.log(ILogger.Severity.ERROR, "IExecutionContext::enqueueV3: no tactic")
            return False
        if stream_of(stream_handle).captured is not None and self._done != (self._shape, self._addresses):
            self._engine.logger.log(
                ILogger.Severity.ERROR, "IExecutionContext::enqueueV3: not while a stream is captured"
            )
            return False  # what the first run of a shape has to do cannot be captured
        self._done = self._shape, dict(self._addresses)
        context, shape, addresses = weakref.ref(self), self._shape, dict(self._addresses)  # what a captured graph keeps
        stream_of(stream_handle).put(lambda: context().compute(shape, addresses))  # fails where it outlives its context
        return True

    def compute(self, shape, addresses):
        """On the stream."""
        return _compute(self._engine, shape, addresses)

    def __del__(self):
        trace("context freed")


def _array(address, shape):
    count = int(np.prod(shape))
    return np.ctypeslib.as_array(ctypes.cast(address, ctypes.POINTER(ctypes.c_float)), (count,)).reshape(shape)


def _compute(engine, shape, addresses):
    (taken,) = engine.session.get_inputs()
    images = _array(addresses[taken.name], shape)
    fault = os.environ.get("STANDIN_FAULT", "") if (images[:, 0, 0, 0] == _FAULT_AT).any() else ""
    if fault in ("hang", "block", "fail"):
        return fault
    if fault == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if fault == "exit":
        os._exit(3)
    rows = 1 if taken.shape[0] == 1 else len(images)  # a model of fixed shape takes one after the other
    for first in range(0, len(images), rows):
        found = engine.session.run(None, {taken.name: np.ascontiguousarray(images[first : first + rows])})
        for one, values in zip(engine.session.get_outputs(), found, strict=True):
            if one.name == "logits":
                values = values + np.float32(os.environ.get("STANDIN_WRONG", "0"))
                values = values + np.float32(os.environ.get("STANDIN_WRONG_BATCH", "0") if len(images) > 1 else "0")
            if fault == "nan":
                values = np.full_like(values, np.nan)
            _array(addresses[one.name], (len(images), *values.shape[1:]))[first : first + rows] = values
    return None
