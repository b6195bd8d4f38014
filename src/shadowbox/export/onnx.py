"""ONNX files of single steps, through torch.export, in full precision or with weights of eight bits."""

from __future__ import annotations

import logging
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from shadowbox.errors import UsageError, install_hint
from shadowbox.export.steps import _StepExport

OPSET = 18
MODULES = ("onnx", "onnxscript", "onnxruntime")


def require_onnx() -> None:
    """Refuse to go on without the packages of the extra."""
    import importlib.util

    absent = [name for name in MODULES if importlib.util.find_spec(name) is None]
    if absent:
        raise UsageError(f"ONNX needs {' and '.join(absent)}: {install_hint('onnx')}")


def to_onnx(step: _StepExport) -> bytes:
    """A step as an ONNX model with its weights inside; inputs and outputs have the step's names."""
    require_onnx()
    with _quiet(), torch.no_grad():
        program = torch.export.export(step.module, tuple(step.inputs.values()), strict=False)
        found: Any = torch.onnx.export(
            program,
            dynamo=True,
            optimize=False,
            verbose=False,
            opset_version=OPSET,
            input_names=list(step.inputs),
            output_names=list(step.outputs),
            custom_translation_table=_translations(),
        )
        return _folded(found.model_proto.SerializeToString())


def _folded(model: bytes) -> bytes:
    """The model with its constants folded by onnxruntime, in operators of ONNX alone.

    The optimizer of onnxscript takes minutes for the step of a world, this one a second.
    """
    import onnxruntime

    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "folded.onnx"
        session(model, str(target), onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC)
        return target.read_bytes()


def to_int8(model: bytes) -> bytes:
    """The model with the weights of its linear layers as integers of eight bits.

    Activations stay as they are and are quantized in each call by their own range.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with tempfile.TemporaryDirectory() as folder, _quiet():
        source, target = Path(folder) / "fp32.onnx", Path(folder) / "int8.onnx"
        source.write_bytes(model)
        quantize_dynamic(source, target, weight_type=QuantType.QInt8, per_channel=True)
        return target.read_bytes()


def session(model: bytes, optimized: str = "", level: Any = None) -> Any:
    """A session of onnxruntime on one thread of the CPU.

    `optimized`: file to write the model to as it is after optimizations of this `level`.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.optimized_model_filepath = optimized
    if level is not None:
        options.graph_optimization_level = level
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _translations() -> dict[Any, Any]:
    """Operators that the exporter of torch lacks, or writes with many more nodes than needed.

    A step of a world is hundreds of small operations, each of which costs its call.
    """
    import onnx
    from onnxscript import opset18
    from onnxscript.function_libs.torch_lib.ops.core import aten_index as usual_index

    op: Any = opset18
    truth, uint64 = onnx.TensorProto.BOOL, onnx.TensorProto.UINT64

    def at(place: int) -> Any:
        return op.Constant(value_ints=[place])

    def shifted(value: Any, places: Any) -> Any:
        bits = op.BitShift(op.Cast(value, to=uint64), op.Cast(places, to=uint64), direction="RIGHT")
        return op.CastLike(bits, value)

    def chosen(condition: Any, yes: Any, no: Any) -> Any:
        if yes.dtype != truth:  # runtimes have no Where of truth values
            return op.Where(condition, yes, no)
        return op.Or(op.And(condition, yes), op.And(op.Not(condition), no))

    def written(
        whole: Any, part: Any, dim: int = 0, start: Any = None, end: Any = None, step: int = 1
    ) -> Any:
        size, first, axis = whole.shape[dim], start or 0, at(dim)
        first = first + size if first < 0 else first
        last = min(size if end is None else end + size if end < 0 else end, size)
        assert step == 1
        before = [op.Slice(whole, at(0), at(first), axis)] if first else []
        after = [op.Slice(whole, at(last), at(size), axis)] if last < size else []
        return op.Concat(*before, part, *after, axis=dim) if before or after else part

    def indexed(values: Any, indices: Any) -> Any:
        given = [axis for axis, each in enumerate(indices) if each is not None]
        if len(given) == 1 and indices[given[0]].dtype != truth:
            return op.Gather(values, indices[given[0]], axis=given[0])
        return usual_index(values, indices)

    def log_sigmoid(x: Any) -> Any:  # the usual Log(Sigmoid(x)) is -inf where x is below -88
        return op.Neg(op.Softplus(op.Neg(x)))

    aten: Any = torch.ops.aten
    return {
        aten.log_sigmoid.default: log_sigmoid,
        aten.__rshift__.Tensor: shifted,
        aten.__rshift__.Scalar: shifted,
        aten.where.self: chosen,
        aten.slice_scatter.default: written,
        aten.index.Tensor: indexed,
    }


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence what exporters log and warn of about their own code."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir", "root")]
    levels = [each.level for each in loggers]
    try:
        for each in loggers:
            each.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for each, level in zip(loggers, levels, strict=True):
            each.setLevel(level)
