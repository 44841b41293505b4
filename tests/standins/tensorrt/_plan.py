"""The plans of the stand-in: what a plan is bound to as JSON, and the ONNX model that answers in its place."""

import json

_MAGIC = b"STAND-IN PLAN 1\n"


def pack_plan(onnx, *, profile, version):
    """The bytes of a plan. `profile`: least, usual and most slices; `version`: of the stand-in that built it."""
    head = json.dumps({"profile": list(profile), "version": version}).encode()
    return _MAGIC + head + b"\n" + onnx


def unpack_plan(plan):
    """What a plan is bound to, and its model. ValueError for other bytes."""
    plan = bytes(plan)
    if not plan.startswith(_MAGIC):
        raise ValueError("magic tag does not match")
    head, onnx = plan[len(_MAGIC) :].split(b"\n", 1)
    return json.loads(head), onnx
