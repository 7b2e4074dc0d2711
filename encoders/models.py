"""Encoders by name or path: the one way in for the rest of Upwell."""

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from encoders import directory
from encoders.base import Encoder, MissingRuntimeError, ModelError
from encoders.batching import TOKEN_BUDGET
from encoders.card import FORMAT, Manifest, Precision
from encoders.fetch import Report, fetch
from encoders.hashing import MAX_DIM, MIN_DIM, HashingEncoder
from encoders.known import KNOWN
from encoders.store import MODEL, TOKENIZER, Store, verify
from encoders.weights import unsupported

HASHING = "hashing"
DEFAULT = "all-MiniLM-L6-v2"

_CHOSEN = re.compile(r"\w[\w.+-]{0,99}")
"""Names for a pruned model: one folder's name, and none that a request would read as something else."""
_MAX_NAME = 200
"""Bytes. A vector's record has 255 for the model's id."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Request:
    """What a shop wrote: `NAME`, `NAME@int8`, `NAME@int8-1a2b3c4d` or a path, which may carry an `@` likewise."""

    name: str
    path: Path | None
    precision: Precision | None
    """None where it was not stated: float32, or what a ready-made graph has."""
    version: str | None

    @classmethod
    def parse(cls, text: str) -> "Request":
        """Read a request.

        Raises:
            ModelError: what follows the `@` is no precision.
        """
        base, at, stated = text.rpartition("@")
        if not at or _is_path(text):
            base, stated = text, ""
        precision, dash, _ = stated.partition("-")
        if stated and precision not in set(Precision):
            raise ModelError(f"{text!r}: after the @ comes {', '.join(Precision)} or a version, not {stated!r}")
        path = Path(base) if base not in KNOWN and _is_path(base) else None
        name = _home(path).resolve().name if path else base
        return cls(name, path, Precision(precision) if stated else None, stated if dash else None)


def load_encoder(
    name_or_path: str,
    cache_dir: Path,
    *,
    build: bool = False,
    template: str = "",
    threads: int = 1,
    token_budget: int | None = TOKEN_BUDGET,
    require_gpu: bool = False,
) -> Encoder:
    """The encoder that a shop named in its settings, its files verified.

    Args:
        name_or_path: `hashing`, or `hashing@256` for other lengths than 384; a known or built model, in float32, or
            with `@int8`, `@fp16` or a whole version behind its name; a Hugging Face BERT directory; or an ONNX file or
            its directory.
        cache_dir: where models are kept, each under `models/NAME/VERSION/`.
        build: fetch and build a model that is not in the cache yet (int8 apart, which wants texts).
        template: names how the caller makes a text of an item; part of the encoder's id.
        threads: of one run of the model.
        token_budget: tokens of one run on a CPU; None measures which is best here, in about a second.
        require_gpu: fail where there is no GPU.

    Raises:
        ModelError: the model is unknown, not built, ambiguous, or its files were changed.
        MissingRuntimeError: onnxruntime is missing, or a GPU is required and there is none.
    """
    if (hashing := _hashing(name_or_path, template)) is not None:
        if require_gpu:
            raise MissingRuntimeError(f"a GPU is required, and {HASHING} runs on the CPU alone: name another model")
        return hashing
    from encoders.onnx import OnnxEncoder
    from encoders.runtime import Device, Running

    manifest, files = verify(locate(name_or_path, cache_dir, build=build))
    running = Running(Device.GPU if require_gpu else Device.AUTO, threads, token_budget)
    return OnnxEncoder(manifest, files[MODEL], files[TOKENIZER], template=template, running=running)


def encoder_id(name_or_path: str, cache_dir: Path, template: str = "") -> str:
    """The id of `load_encoder`'s encoder, its files verified, without loading it.

    Raises:
        ModelError: as `load_encoder`.
    """
    if (hashing := _hashing(name_or_path, template)) is not None:
        return hashing.id
    return verify(locate(name_or_path, cache_dir))[0].encoder_id(template)


def locate(name_or_path: str, cache_dir: Path, *, build: bool = False) -> Path:
    """The directory of a built model, not yet verified.

    Raises:
        ModelError: as `load_encoder`.
    """
    request = Request.parse(name_or_path)
    found = [path for path, manifest in Store(cache_dir).find(request.name) if _fits(manifest, request)]
    if len(found) == 1:
        return found[0]
    if found:
        versions = ", ".join(f"{request.name}@{path.name}" for path in found)
        raise ModelError(f"{name_or_path!r} could be any of {versions}: name one of them")
    if request.version is not None:
        raise ModelError(
            f"{name_or_path} is not built here: copy {Store(cache_dir).root / request.name / request.version} from a "
            f"machine that has it, or run `upwell model build {name_or_path.removesuffix(request.version)}"
            f"{request.precision}` with the same Upwell, weights and, for int8, texts"
        )
    if build:
        return build_model(name_or_path, cache_dir, _log.info)
    _require_source(request)
    raise ModelError(f"{name_or_path} is not built yet: run `upwell model build {name_or_path}`")


def build_model(
    name_or_path: str,
    cache_dir: Path,
    report: Report,
    *,
    texts: Sequence[str] = (),
    layers: Sequence[int] | None = None,
    name: str | None = None,
) -> Path:
    """Fetch a model if need be, build it and put it into the cache. Returns its directory there.

    Args:
        name_or_path: as for `load_encoder`, without a version.
        cache_dir: where models are kept.
        report: told every step.
        texts: the shop's own, to calibrate int8 on.
        layers: transformer layers to keep; all of them where it is None.
        name: what to call a model that lost layers; by default `NAME-Nl` for N layers.

    Raises:
        ModelError: it cannot be had or built, or falls short of its reference.
    """
    from encoders import build

    request, store = Request.parse(name_or_path), Store(cache_dir)
    if request.version:
        raise ModelError(f"building gives the version: name {request.name}@{request.precision} without it")
    _require_source(request)
    _check_name(request.name, name)
    if request.path is None:
        known = KNOWN[request.name]
        source = known.source(fetch(known.package, cache_dir, report))
    elif graph := _graph(request.path):
        if layers is not None or request.precision not in (None, Precision.READY):
            raise ModelError(f"{graph.name} is a ready-made graph: its precision and layers are what they are")
        return build.build_ready(graph, store, report)
    elif request.path.is_file():
        raise ModelError(f"{request.path} is no model: name an ONNX file, which ends in .onnx, or a model's directory")
    elif reason := unsupported(request.path):
        if layers is not None or request.precision not in (None, Precision.FP32):
            raise ModelError(f"{reason}; PyTorch exports others as they are, in fp32 and with all layers")
        return build.build_exported(request.path, store, report)
    else:
        source = directory.read_directory(request.path)
    if request.precision is Precision.READY:
        raise ModelError(f"{name_or_path!r}: only an ONNX file is ready-made; name fp32, fp16 or int8")
    if layers is not None:
        source = source.keep(tuple(layers), f"{source.card.name}-{len(layers)}l" if name is None else name)
    return build.build(source, request.precision or Precision.FP32, store, report, texts)


def _hashing(name_or_path: str, template: str) -> HashingEncoder | None:
    """The encoder that needs no model, where it is meant.

    Raises:
        ModelError: what follows the `@` is no length, or none that a vector can have.
    """
    name, _, dim = name_or_path.partition("@")
    if name != HASHING:
        return None
    dim = dim or "384"
    try:
        return HashingEncoder(int(dim) if dim.isdecimal() else 0, template)
    except ValueError:
        raise ModelError(
            f"{name_or_path!r}: after {HASHING}@ comes the length of a vector, {MIN_DIM} to {MAX_DIM}, such as 256"
        ) from None


def _graph(path: Path) -> Path | None:
    """The ready-made graph that a path stands for; None where it has weights to build from."""
    from encoders import ready

    return None if (path / directory.WEIGHTS).is_file() else ready.find_graph(path)


def _home(path: Path) -> Path:
    """The model's directory, whose name is the model's."""
    from encoders import ready

    graph = _graph(path)
    return ready.home(graph) if graph else path


def _is_path(text: str) -> bool:
    return bool(text) and Path(text).exists()


def _check_name(own: str, chosen: str | None) -> None:
    """Refuse a name that a model could not be kept or found by.

    Args:
        own: the model's.
        chosen: what its pruned version is to be called, if that was said.

    Raises:
        ModelError: it is such a name.
    """
    if own == HASHING or not own.isprintable() or len(own.encode("utf-8", "replace")) > _MAX_NAME:
        raise ModelError(f"a model in a directory called {own[:40]!r} could not be found again: give it another name")
    if chosen is not None and (not _CHOSEN.fullmatch(chosen) or chosen in (HASHING, own, *KNOWN)):
        raise ModelError(
            f"a pruned model cannot be called {chosen[:40]!r}: choose a name of letters, digits and . _ + - "
            "that no other model has"
        )


def _require_source(request: Request) -> None:
    if request.path is None and request.name not in KNOWN:
        known = ", ".join((HASHING, *KNOWN))
        raise ModelError(f"unknown model {request.name!r}: choose {known}, or a directory with a model")


def _fits(manifest: Manifest, request: Request) -> bool:
    """Whether an artifact is what was asked for, built from the files that the name or path stands for."""
    wanted = (request.precision,) if request.precision else (Precision.FP32, Precision.READY)
    if manifest.precision not in wanted or request.version not in (None, manifest.version):
        return False
    if manifest.format != FORMAT and request.version is None:
        return False  # what a shop runs by its version goes on; a name alone is what is built today
    if request.path is not None:
        from encoders import ready

        graph = _graph(request.path)
        return manifest.sources == (ready.digests(graph) if graph else directory.digests(request.path))
    if (known := KNOWN.get(request.name)) is None or request.version is not None:
        return True  # a directory may have the name of a known model, and its versions are found, too
    return all(known.package.files.get(name) == digest for name, digest in manifest.sources.items())
