"""A thin layer over `onnx.helper`: nodes get names, constants are stored once."""

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from encoders.base import ModelError

OPSET = 17
IR_VERSION = 9
MICROSOFT = "com.microsoft"
"""The domain of ONNX Runtime's own operators."""


class Graph:
    """An ONNX graph under construction. Values are named by strings, as in ONNX itself.

    Args:
        prefix: put before the names of nodes and constants, to tell them from those of another graph.
    """

    def __init__(self, prefix: str = "") -> None:
        """An empty graph."""
        self._prefix = prefix
        self.nodes: list[onnx.NodeProto] = []
        self._constants: dict[str, onnx.TensorProto] = {}
        self._domains = {""}

    def constant(self, name: str, value: npt.NDArray[Any]) -> str:
        """Store an array under `name`; asking again for the same name stores nothing."""
        name = self._prefix + name
        if name not in self._constants:
            self._constants[name] = numpy_helper.from_array(np.asarray(value, order="C"), name)
        return name

    def ints(self, *values: int) -> str:
        """An int64 vector, named after its values."""
        return self.constant("ints_" + "_".join(map(str, values)), np.array(values, np.int64))

    def node(self, op: str, *inputs: str, output: str = "", domain: str = "", **attributes: Any) -> str:
        """Add a node with one output and return that output's name."""
        name = f"{self._prefix}{op}_{len(self.nodes)}"
        output = output or name
        self.nodes.append(helper.make_node(op, inputs, [output], name=name, domain=domain, **attributes))
        self._domains.add(domain)
        return output

    @property
    def constants(self) -> list[onnx.TensorProto]:
        """Every constant that was stored."""
        return list(self._constants.values())

    def finish(self, dim: int, outputs: tuple[str, ...] = ("embedding",)) -> bytes:
        """The model: int64 `input_ids`, `attention_mask` (batch, tokens) → float32 `embedding` (batch, dim).

        Raises:
            ModelError: it is larger than one ONNX file may be.
        """
        graph = helper.make_graph(
            self.nodes,
            "encoder",
            [
                helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "tokens"])
                for name in ("input_ids", "attention_mask")
            ],
            [
                helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", dim] if name == "embedding" else None)
                for name in outputs
            ],
            self.constants,
        )
        opsets = [helper.make_opsetid(domain, OPSET if not domain else 1) for domain in sorted(self._domains)]
        return serialize(helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="upwell"))


def serialize(model: onnx.ModelProto) -> bytes:
    """One self-contained file's bytes.

    Raises:
        ModelError: protobuf ends at 2 GiB.
    """
    size = model.ByteSize()
    if size >= onnx.checker.MAXIMUM_PROTOBUF:
        raise ModelError(f"the model is {size / 2**30:.1f} GiB; one ONNX file ends at 2 GiB: choose a smaller model")
    data: bytes = model.SerializeToString()
    return data
