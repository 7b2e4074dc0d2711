"""ONNX Runtime sessions: which device, how many threads, and no surprises about either."""

from enum import StrEnum
from typing import Any

from encoders.base import MissingRuntimeError, ModelError

CPU = "CPUExecutionProvider"
CUDA = "CUDAExecutionProvider"


class Device(StrEnum):
    """Where a model may run."""

    AUTO = "auto"
    """On a GPU where there is one, else on the CPU."""
    CPU = "cpu"
    GPU = "gpu"
    """On a GPU or not at all."""


def open_session(model: bytes, *, threads: int = 1, device: Device = Device.AUTO) -> Any:
    """An `onnxruntime.InferenceSession` over a self-contained model.

    Args:
        model: the ONNX file's bytes. ONNX Runtime refuses external data in a model that comes as bytes, which is
            why it does: such a model could name any file of the machine.
        threads: of one run. One by default: an encoder shares its machine with everything else, and two threads that
            spin halve each other's speed on a busy one.
        device: where to run. Without `GPU`, ONNX Runtime falls back to the CPU without a word.

    Raises:
        MissingRuntimeError: onnxruntime is not installed, or a GPU is required and the session has none.
        ModelError: ONNX Runtime refuses the model.
    """
    ort = _onnxruntime()
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # what matters is raised; the rest would go past our log to stderr
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    providers: list[Any] = [CPU]
    if device is not Device.CPU and CUDA in ort.get_available_providers():
        ort.preload_dlls()
        providers.insert(0, (CUDA, {"use_tf32": "0"}))  # TF32 would round float32 to 10 bits of mantissa
    try:
        session = ort.InferenceSession(model, options, providers=providers)
    except Exception as error:  # ONNX Runtime's exceptions have no public base class
        raise ModelError(f"ONNX Runtime refuses the model: {error}") from error
    if device is Device.GPU and session.get_providers()[0] != CUDA:
        raise MissingRuntimeError(
            f"a GPU is required, but ONNX Runtime runs on {session.get_providers()[0]}: "
            "install upwell[gpu] and check the driver with nvidia-smi"
        )
    return session


def _onnxruntime() -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingRuntimeError("onnxruntime is missing: install upwell[cpu] or upwell[gpu]") from error
    return onnxruntime
