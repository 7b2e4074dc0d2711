"""Built models on disk: `CACHE/models/NAME/VERSION/{model.onnx, tokenizer.json, manifest.json}`.

A version's directory appears at once or not at all, and is never changed afterwards.
"""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from encoders.base import ModelError
from encoders.card import RUNS, Manifest

MODEL = "model.onnx"
TOKENIZER = "tokenizer.json"
MANIFEST = "manifest.json"


class Store:
    """The models under a cache directory."""

    def __init__(self, cache_dir: Path) -> None:
        """Nothing is created before the first `install`."""
        self.root = cache_dir / "models"

    def find(self, name: str) -> list[tuple[Path, Manifest]]:
        """Every version of `name` that runs: its directory and manifest, by version.

        Raises:
            ModelError: a manifest cannot be read.
        """
        found = self._below(self.root / name, f"*/{MANIFEST}")  # of others' damage it is none the worse
        return [entry for entry in found if entry[1].card.name == name and entry[1].format in RUNS]

    def __iter__(self) -> Iterator[tuple[Path, Manifest]]:
        """Every artifact: its directory and manifest, not verified."""
        return self._below(self.root, f"*/*/{MANIFEST}")

    @staticmethod
    def _below(folder: Path, pattern: str) -> Iterator[tuple[Path, Manifest]]:
        for path in sorted(folder.glob(pattern)):
            if not path.parent.name.startswith("."):
                yield path.parent, read_manifest(path.parent)

    def install(self, manifest: Manifest, files: dict[str, bytes]) -> Path:
        """Write an artifact; the very same one, if it is there already and sound, stays."""
        target = self.root / manifest.card.name / manifest.version
        target.parent.mkdir(parents=True, exist_ok=True)
        building = Path(tempfile.mkdtemp(prefix=".building-", dir=target.parent))
        try:
            for name, data in (*files.items(), (MANIFEST, msgspec.json.format(msgspec.json.encode(manifest)))):
                _write(building / name, data)
            building.chmod(0o755)
            put(building, target, _sound)
        finally:
            shutil.rmtree(building, ignore_errors=True)
        return target


def read_manifest(directory: Path) -> Manifest:
    """The manifest of an artifact.

    Raises:
        ModelError: it is missing or damaged.
    """
    path = directory / MANIFEST
    try:
        return msgspec.json.decode(path.read_bytes(), type=Manifest)
    except FileNotFoundError:
        raise ModelError(f"{directory} is no built model: {MANIFEST} is missing") from None
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path} is damaged ({error}): delete {directory} and build the model again") from error


def verify(directory: Path) -> tuple[Manifest, dict[str, bytes]]:
    """Read an artifact whole and check every digest, the manifest's own included.

    Returns:
        The manifest and the very bytes that were checked, by file name.

    Raises:
        ModelError: something is missing or was changed; the message names it.
    """
    manifest = read_manifest(directory)
    if manifest.version != directory.name:
        raise ModelError(
            f"{directory / MANIFEST} was changed: it describes {manifest.version}. "
            f"Delete {directory} and build the model again"
        )
    files = {}
    for name, wanted in manifest.files.items():
        path = _listed(directory, name)
        files[name] = path.read_bytes()
        if (got := sha256(files[name])) != wanted:
            raise ModelError(
                f"{path} was changed: its SHA-256 is {got[:12]}…, the manifest says {wanted[:12]}…. "
                f"Delete {directory} and build the model again"
            )
    if missing := {MODEL, TOKENIZER} - files.keys():
        raise ModelError(f"{directory / MANIFEST} does not list {', '.join(sorted(missing))}")
    return manifest, files


def size(directory: Path, manifest: Manifest) -> int:
    """Bytes of an artifact's files.

    Raises:
        ModelError: one is missing.
    """
    return sum(_listed(directory, name).stat().st_size for name in manifest.files)


def _listed(directory: Path, name: str) -> Path:
    """A file that a manifest lists.

    Raises:
        ModelError: it is missing, or would be elsewhere.
    """
    path = directory / name
    if path.name != name or not path.is_file():
        raise ModelError(f"{path} is missing: delete {directory} and build the model again")
    return path


def put(made: Path, target: Path, sound: Callable[[Path], bool]) -> None:
    """Put a directory in its place at once, unless a sound one is there already.

    What another process puts there meanwhile stays: it may be reading it.
    """
    if sound(target):
        return
    shutil.rmtree(target, ignore_errors=True)
    try:
        made.rename(target)
    except OSError:
        if not sound(target):
            raise


def _sound(directory: Path) -> bool:
    try:
        verify(directory)
    except ModelError:
        return False
    return True


def sha256(data: bytes) -> str:
    """Hex digest."""
    return hashlib.sha256(data).hexdigest()


def _write(path: Path, data: bytes) -> None:
    try:
        with path.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:  # a full disk does not say where it was
        raise OSError(error.errno, error.strerror, str(path)) from error
