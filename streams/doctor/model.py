"""The encoder: is it built, are its files what they were, and what would run it?"""

import importlib.metadata
from collections.abc import Iterator

from encoders.base import EncoderError, MissingRuntimeError
from encoders.models import HASHING, locate
from encoders.store import MODEL, verify
from streams.doctor.finding import Finding, fail, ok, warn
from streams.settings import Settings

_GPU_PACKAGE = "onnxruntime-gpu"


def examine_model(settings: Settings) -> Iterator[Finding]:
    """The model that the settings name, and the device it would run on."""
    if settings.model.partition("@")[0] == HASHING:
        yield warn(
            "model", f"UPWELL_MODEL is {settings.model}, which knows no meaning", "name a BERT: all-MiniLM-L6-v2"
        )
        return
    try:
        path = locate(settings.model, settings.cache_dir)
        manifest, files = verify(path)
    except EncoderError as error:
        yield fail("model", str(error), f"upwell model build {settings.model}")
        return
    yield ok("model", f"{manifest.card.name}@{manifest.version}: the digests of {len(files)} files are right")
    yield device(files[MODEL], require_gpu=settings.require_gpu)


def device(model: bytes, *, require_gpu: bool) -> Finding:
    """What ONNX Runtime really runs the model on; it falls back to the CPU without a word."""
    from encoders.runtime import CPU, Device, Running, open_session

    try:
        provider = open_session(model, Running(Device.GPU if require_gpu else Device.AUTO)).get_providers()[0]
    except MissingRuntimeError as error:
        return fail("device", str(error), "pip install 'upwell[cpu]', or 'upwell[gpu]' with an NVIDIA driver")
    except EncoderError as error:
        return fail("device", str(error), "build the model again: upwell model build")
    if provider == CPU and _installed(_GPU_PACKAGE):
        return warn("device", f"{provider}, although {_GPU_PACKAGE} is installed", "look at the driver: nvidia-smi")
    return ok("device", provider)


def _installed(package: str) -> bool:
    try:
        importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True
