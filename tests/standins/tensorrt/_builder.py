"""The half of the stand-in that builds plans, in the manner of the version that STANDIN_TENSORRT names (8, 10 or 11).

STANDIN_UNSUPPORTED: an operator that the parser does not take. STANDIN_BUILD=none: the builder gives no plan, and says
why in the log alone; "slow": it never ends; "crash": it ends the process. STANDIN_RECORD names a file for all that the
build was asked for, as JSON; "building" stands there while it goes on.
"""

import enum
import json
import os
import signal
import time
import weakref
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError
from tensorrt._plan import pack_plan
from tensorrt._runtime import DataType, ILogger, NetworkDefinitionCreationFlag, __version__

_MAJOR = int(__version__.split(".")[0])
float32 = DataType.FLOAT


def _names(name, kind, *names):
    return kind(name, {one: number for number, one in enumerate(names)})


if _MAJOR < 10:
    BuilderFlag = _names("BuilderFlag", enum.IntEnum, "FP16", "TF32", "PREFER_PRECISION_CONSTRAINTS")
    PreviewFeature = _names(
        "PreviewFeature", enum.Enum, "DISABLE_EXTERNAL_TACTIC_SOURCES_FOR_CORE_0805", "PROFILE_SHARING_0806"
    )
elif _MAJOR < 11:
    BuilderFlag = _names("BuilderFlag", enum.IntEnum, "FP16", "TF32", "PREFER_PRECISION_CONSTRAINTS")
    PreviewFeature = _names("PreviewFeature", enum.Enum, "PROFILE_SHARING_0806")
else:
    BuilderFlag = _names("BuilderFlag", enum.IntEnum, "TF32")
    PreviewFeature = _names("PreviewFeature", enum.Enum, "ALIASED_PLUGIN_IO_10_03")
TacticSource = _names("TacticSource", enum.IntEnum, "CUBLAS", "CUDNN", "EDGE_MASK_CONVOLUTIONS", "JIT_CONVOLUTIONS")
MemoryPoolType = _names("MemoryPoolType", enum.Enum, "WORKSPACE", "TACTIC_DRAM")


class IHostMemory(bytes):
    pass


class _Tensor:
    is_shape_tensor = False
    dtype = DataType.FLOAT


class _Layer:
    def __init__(self, node):
        self.name = node.name
        self.num_outputs = len(node.output)
        self.asked = {}
        if _MAJOR < 11:
            self.precision = None
            self.set_output_type = self.asked.__setitem__

    def get_output(self, index):
        return _Tensor()


class _Network:
    def __init__(self, flags):
        self.flags = flags
        self.model = None
        self.layers = []

    @property
    def num_layers(self):
        return len(self.layers)

    def get_layer(self, index):
        return self.layers[index]


class _ParserError:
    def __init__(self, number, node):
        self._number, self._node = number, node
        if _MAJOR >= 10:
            self.node_name = lambda: node.name
            self.node_operator = lambda: node.op_type

    def code(self):
        return 8

    def desc(self):
        return "No importer registered for op"

    def node(self):
        return self._number


class OnnxParser:
    def __init__(self, network, logger):
        assert logger._base_was_called
        self._network, self._logger = network, logger
        self._errors = []

    @property
    def num_errors(self):
        return len(self._errors)

    def get_error(self, index):
        return self._errors[index]

    def parse(self, model):
        try:
            loaded = onnx.load_model_from_string(model)
        except DecodeError:
            self._logger.log(ILogger.Severity.ERROR, "ModelImporter: Failed to parse the ONNX model")
            return False
        nodes = list(loaded.graph.node)
        bad = os.environ.get("STANDIN_UNSUPPORTED")
        self._errors = [_ParserError(n, node) for n, node in enumerate(nodes) if node.op_type == bad]
        self._network.model = model
        self._network.layers = [_Layer(node) for node in nodes]
        return not self._errors


class _Profile:
    def set_shape(self, name, least, usual, most):
        self.shapes = {name: [list(least), list(usual), list(most)]}


class _TimingCache:
    def __init__(self, held):
        self.held = bytes(held)

    def serialize(self):
        return IHostMemory(b"timing of " + __version__.encode())


class _Config:
    def __init__(self):
        self.flags = {"TF32"}
        self.preview = []
        self.pools = {}
        self.tactics = None
        self.profile = None
        self.timing = None

    def set_flag(self, flag):
        self.flags.add(flag.name)

    def clear_flag(self, flag):
        self.flags.discard(flag.name)

    def set_memory_pool_limit(self, pool, size):
        self.pools[pool.name] = size

    def set_tactic_sources(self, sources):
        self.tactics = [one.name for one in TacticSource if sources >> int(one) & 1]
        return True

    def set_preview_feature(self, feature, on):
        self.preview.append(feature.name)

    def add_optimization_profile(self, profile):
        ((_, (least, usual, most)),) = profile.shapes.items()
        self.profile = profile
        return 0 if least[0] <= usual[0] <= most[0] else -1

    def create_timing_cache(self, held):
        return _TimingCache(held)

    def set_timing_cache(self, cache, ignore_mismatch):
        if cache.held and cache.held != b"timing of " + __version__.encode() and not ignore_mismatch:
            return False
        self.timing = weakref.ref(cache)  # who gives it keeps it alive
        return True


class Builder:
    def __init__(self, logger):
        assert logger._base_was_called
        self._logger = logger

    def create_network(self, flags=0):
        explicit = _MAJOR >= 10 or flags & 1 << int(NetworkDefinitionCreationFlag.EXPLICIT_BATCH)
        assert explicit, "an ONNX graph needs an explicit batch"
        return _Network(flags)

    def create_builder_config(self):
        return _Config()

    def create_optimization_profile(self):
        return _Profile()

    def build_serialized_network(self, network, config):
        record = {
            "network_flags": [one.name for one in NetworkDefinitionCreationFlag if network.flags >> int(one) & 1],
            "flags": sorted(config.flags),
            "preview": config.preview,
            "pools": config.pools,
            "tactics": config.tactics,
            "profile": config.profile.shapes,
            "timing": config.timing().held.decode("utf-8", "replace"),
            "fp32_layers": [layer.name for layer in network.layers if layer.asked],
        }
        if "STANDIN_RECORD" in os.environ:
            Path(os.environ["STANDIN_RECORD"]).write_text("building")
        how = os.environ.get("STANDIN_BUILD", "")
        if how == "crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        while how == "slow":
            time.sleep(0.05)
        if "STANDIN_RECORD" in os.environ:
            Path(os.environ["STANDIN_RECORD"]).write_text(json.dumps(record))
        typed = hasattr(NetworkDefinitionCreationFlag, "STRONGLY_TYPED") and "STRONGLY_TYPED" in record["network_flags"]
        halves = any(one.data_type == 10 for one in onnx.load_model_from_string(network.model).graph.initializer)
        if halves and not typed and "FP16" not in config.flags:
            self._logger.log(ILogger.Severity.ERROR, "Network has half tensors and the FP16 flag is not set")
            return None
        if how == "none":
            self._logger.log(ILogger.Severity.ERROR, "Error Code 10: Could not find any implementation for node /stem")
            return None
        (shapes,) = config.profile.shapes.values()
        profile = tuple(shape[0] for shape in shapes)
        return IHostMemory(pack_plan(network.model, profile=profile, version=__version__))
