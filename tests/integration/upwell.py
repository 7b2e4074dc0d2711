"""The command `upwell` for a test's shop and broker: as people use it, a process, or in the process of the test."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from streams.cli import main
from streams.settings import Settings

PATIENCE_S = 120.0

Upwell = Callable[..., tuple[int, str, str]]
"""Arguments in; exit code, standard output, standard error out."""


def upwell(settings: Settings, bootstrap: str, *arguments: str | Path) -> tuple[int, str, str]:
    """Run a command to its end. Exit code, standard output, standard error."""
    environment = {
        **os.environ,
        "KAFKA_BOOTSTRAP_SERVERS": bootstrap,
        "UPWELL_SHOP": settings.shop,
        "UPWELL_PARTITIONS": str(settings.partitions),
        "UPWELL_DATA_DIR": str(settings.data_dir),
        "UPWELL_MODEL": "hashing",
        "COLUMNS": "200",
    }
    command = [sys.executable, "-c", "from streams.cli import main; main()", *map(str, arguments)]
    done = subprocess.run(
        command,
        check=False,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    return done.returncode, done.stdout, done.stderr


def in_process(
    settings: Settings, bootstrap: str, monkeypatch: pytest.MonkeyPatch, directory: Path, command: str
) -> Upwell:
    """`upwell COMMAND …` in this process, in a directory."""
    monkeypatch.chdir(directory)
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", bootstrap)
    monkeypatch.setenv("UPWELL_SHOP", settings.shop)
    monkeypatch.setenv("UPWELL_PARTITIONS", str(settings.partitions))

    def run(*arguments: str) -> tuple[int, str, str]:
        done = CliRunner().invoke(main, [command, *arguments])
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        return done.exit_code, done.stdout, done.stderr

    return run
