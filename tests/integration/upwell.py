"""The command `upwell` as people use it: a process, for a test's shop and broker."""

import os
import subprocess
import sys
from pathlib import Path

from streams.settings import Settings

PATIENCE_S = 120.0


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
