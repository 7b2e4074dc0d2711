"""ONNX Runtime sessions: which device, how many threads, and no surprises about either."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy.typing as npt

from encoders.base import MissingRuntimeError, ModelError
from encoders.batching import TOKEN_BUDGET

CPU = "CPUExecutionProvider"
CUDA = "CUDAExecutionProvider"


class Device(StrEnum):
    """Where a model may run."""

    AUTO = "auto"
    """On a GPU where there is one, else on the CPU."""
    CPU = "cpu"
    GPU = "gpu"
    """On a GPU or not at all."""


@dataclass(frozen=True, slots=True)
class Running:
    """How a model is run.

    Attributes:
        device: where. Without `GPU`, ONNX Runtime falls back to the CPU without a word.
        threads: of one run. One by default: an encoder shares its machine with everything else, and two threads that
            spin halve each other's speed on a busy one.
        token_budget: tokens of one run at most on a CPU, padding included; None measures which is best here.
        cuda_graphs: capture every shape once and replay it; on a GPU only.
    """

    device: Device = Device.AUTO
    threads: int = 1
    token_budget: int | None = TOKEN_BUDGET
    cuda_graphs: bool = False


ON_CPU = Running(Device.CPU)


def open_session(model: bytes, running: Running = ON_CPU) -> Any:
    """An `onnxruntime.InferenceSession` over a self-contained model.

    Args:
        model: the ONNX file's bytes. ONNX Runtime refuses external data in a model that comes as bytes, which is
            why it does: such a model could name any file of the machine.
        running: where and how.

    Raises:
        MissingRuntimeError: onnxruntime is not installed, or a GPU is required and the session has none.
        ModelError: ONNX Runtime refuses the model.
    """
    ort = _onnxruntime()
    options = ort.SessionOptions()
    options.intra_op_num_threads = running.threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # what matters is raised; the rest would go past our log to stderr
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    providers: list[Any] = [CPU]
    if running.device is not Device.CPU and CUDA in ort.get_available_providers():
        ort.preload_dlls()
        # TF32 would round float32 to 10 bits of mantissa.
        providers.insert(0, (CUDA, {"use_tf32": "0", "enable_cuda_graph": str(int(running.cuda_graphs))}))
    try:
        session = ort.InferenceSession(model, options, providers=providers)
    except Exception as error:  # ONNX Runtime's exceptions have no public base class
        raise ModelError(f"ONNX Runtime refuses the model: {error}") from error
    if running.device is Device.GPU and session.get_providers()[0] != CUDA:
        raise MissingRuntimeError(
            f"a GPU is required, but ONNX Runtime runs on {session.get_providers()[0]}: "
            "install upwell[gpu] and check the driver with nvidia-smi"
        )
    return session


def ort_value(array: npt.NDArray[Any], memory: str) -> Any:
    """An `onnxruntime.OrtValue` with the array's contents, in `cpu` or `cuda` memory."""
    return _onnxruntime().OrtValue.ortvalue_from_numpy(array, memory, 0)


def _onnxruntime() -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingRuntimeError("onnxruntime is missing: install upwell[cpu] or upwell[gpu]") from error
    return onnxruntime
