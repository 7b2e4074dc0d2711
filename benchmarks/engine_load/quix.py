"""The Python that Quix Streams is run with: it pins other versions than Upwell, so it has an environment of its own."""

import subprocess
import sys
from pathlib import Path

VERSION = "3.28.1"


def environment(cache_dir: Path, *, install: bool) -> str | None:
    """The Python of the environment under the user's cache, None if it is not there and shall not be made.

    Raises:
        subprocess.CalledProcessError: it could not be installed; pip has said why.
    """
    home = cache_dir / f"quixstreams-{VERSION}"
    python, done = home / "bin" / "python", home / "installed"
    if done.exists():
        return str(python)
    if not install:
        return None
    subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
    subprocess.run([str(python), "-m", "pip", "install", "--quiet", f"quixstreams=={VERSION}"], check=True)
    done.touch()
    return str(python)


def installed(python: str) -> str:
    """The version of Quix Streams that a Python has."""
    asked = "from importlib.metadata import version; print(version('quixstreams'))"
    return subprocess.run([python, "-c", asked], check=True, capture_output=True, text=True).stdout.strip()
