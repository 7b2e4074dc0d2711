"""What runs a model's graph on token ids: a CPU session, a GPU session, or a GPU session with a CPU one behind it."""

import logging
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from encoders.base import Vectors
from encoders.batching import TOKEN_BUDGET, Batch, pad, plan
from encoders.runtime import CPU, ort_value

GPU_TOKENS = 16_384
"""Tokens of a run on a GPU. A constant, not measured: there the shape of a run picks the kernels, and so the bits."""

GPU_LENGTHS = (16, 32, 48, 64, 96, 128, 192, 256, 384, 512)
"""What texts are padded to on a GPU. Few, because every one is a shape of its own with buffers of its own."""

Ids = Sequence[Sequence[int]]

_log = logging.getLogger(__name__)


class Runner(Protocol):
    """Runs a graph. Called from one thread at a time."""

    @property
    def provider(self) -> str:
        """The execution provider in use, as the session itself reports it."""
        ...

    def plan(self, lengths: Sequence[int]) -> list[Batch]:
        """Which texts run together."""
        ...

    def run(self, ids: Ids, tokens: int) -> Vectors:
        """Vectors of one batch, padded to `tokens`: float32 (len(ids), dim), unit rows."""
        ...


class CpuRunner:
    """Runs texts of one padded length at a time, as many as the budget allows.

    Args:
        session: an `onnxruntime.InferenceSession`.
        limit: the model's positions.
        budget: tokens of a run.
    """

    def __init__(self, session: Any, limit: int, budget: int = TOKEN_BUDGET) -> None:
        """See the class."""
        self._session = session
        self._limit = limit
        self.budget = budget

    @property
    def provider(self) -> str:
        """See `Runner`."""
        return str(self._session.get_providers()[0])

    def plan(self, lengths: Sequence[int]) -> list[Batch]:
        """See `Runner`."""
        return plan(lengths, self.budget, limit=self._limit)

    def run(self, ids: Ids, tokens: int) -> Vectors:
        """See `Runner`."""
        padded, mask = pad(ids, tokens)
        vectors: Vectors = self._session.run(["embedding"], {"input_ids": padded, "attention_mask": mask})[0]
        return vectors


class GpuRunner:
    """Runs fixed shapes through buffers that stay on the card.

    For every length of `GPU_LENGTHS` there is one shape, `GPU_TOKENS` in size; a batch that is short is filled up with
    its last text. So a text's vector does not depend on how many came with it, the buffers are bound once, and with
    CUDA graphs a run is one launch.

    Args:
        session: an `onnxruntime.InferenceSession` on a GPU.
        limit: the model's positions.
        dim: of a vector.
        tokens: of a run.
        memory: where buffers live, in ONNX Runtime's words; `cpu` runs the same code without a GPU.
        graphs: the session was opened with CUDA graphs.
    """

    def __init__(
        self,
        session: Any,
        limit: int,
        dim: int,
        *,
        tokens: int = GPU_TOKENS,
        memory: str = "cuda",
        graphs: bool = False,
    ) -> None:
        """See the class."""
        self._session = session
        self._dim = dim
        self.tokens = tokens
        self._memory = memory
        self._graphs = graphs
        self._lengths = sorted({min(length, limit) for length in (*GPU_LENGTHS, limit)})
        self._bound: dict[int, _Binding] = {}

    @property
    def provider(self) -> str:
        """See `Runner`."""
        return str(self._session.get_providers()[0])

    def plan(self, lengths: Sequence[int]) -> list[Batch]:
        """See `Runner`."""
        padded = [next(allowed for allowed in self._lengths if length <= allowed) for length in lengths]
        return plan(padded, self.tokens, bucket=1)

    def run(self, ids: Ids, tokens: int) -> Vectors:
        """See `Runner`."""
        if (binding := self._bound.get(tokens)) is None:
            rows = max(1, self.tokens // tokens)
            graph = len(self._bound) if self._graphs else None
            binding = self._bound[tokens] = _Binding(self._session, (rows, tokens), self._dim, self._memory, graph)
        return binding.run(*pad([*ids, *[ids[-1]] * (binding.rows - len(ids))], tokens))[: len(ids)]


class _Binding:
    """Buffers of one shape, bound to the session's inputs and output."""

    def __init__(self, session: Any, shape: tuple[int, int], dim: int, memory: str, graph: int | None) -> None:
        self.rows = shape[0]
        self._session = session
        self._inputs = [ort_value(np.zeros(shape, np.int64), memory) for _ in range(2)]
        self._output = ort_value(np.zeros((shape[0], dim), np.float32), memory)
        self._io = session.io_binding()
        for name, buffer in zip(("input_ids", "attention_mask"), self._inputs, strict=True):
            self._io.bind_ortvalue_input(name, buffer)
        self._io.bind_ortvalue_output("embedding", self._output)
        self._graph = graph

    def run(self, ids: npt.NDArray[np.int64], mask: npt.NDArray[np.int64]) -> Vectors:
        for buffer, values in zip(self._inputs, (ids, mask), strict=True):
            buffer.update_inplace(values)
        options = None
        if self._graph is not None:
            from onnxruntime import RunOptions

            options = RunOptions()
            options.add_run_config_entry("gpu_graph_id", str(self._graph))
        self._session.run_with_iobinding(self._io, options)
        return np.array(self._output.numpy())  # the buffer is used again


class WithFallback:
    """A GPU until it fails, then the CPU for good: the batch at hand is run again there, so no item is lost.

    Args:
        gpu: runs what it can.
        open_cpu: opens the other one, when it is needed.
    """

    def __init__(self, gpu: Runner, open_cpu: Callable[[], Runner]) -> None:
        """See the class."""
        self._runner = gpu
        self._open_cpu = open_cpu
        self.fallbacks = 0
        """1 once the GPU has failed."""

    @property
    def provider(self) -> str:
        """See `Runner`."""
        return self._runner.provider

    def plan(self, lengths: Sequence[int]) -> list[Batch]:
        """See `Runner`. A plan that was made for the GPU is good for the CPU, too."""
        return self._runner.plan(lengths)

    def run(self, ids: Ids, tokens: int) -> Vectors:
        """See `Runner`."""
        try:
            return self._runner.run(ids, tokens)
        except Exception as error:  # ONNX Runtime's exceptions have no public base class
            if self.fallbacks:
                raise
            _log.error("the GPU failed, going on with %s: restart the worker to use it again: %s", CPU, error)
            self._runner = self._open_cpu()
            self.fallbacks = 1
            return self._runner.run(ids, tokens)
