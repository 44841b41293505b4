"""ONNX Runtime, silenced before it is loaded: import it from here alone.

Its official builds report to their maker over the network, and keep an identity on the disk, unless this variable stands
when they are loaded (Privacy.md in its wheel). From a hospital's box nothing is sent that nobody has asked for.
"""

import os

os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import onnxruntime as ort  # only now
from onnxruntime.capi import onnxruntime_pybind11_state as native

__all__ = ["native", "ort"]
