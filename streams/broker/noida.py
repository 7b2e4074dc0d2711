"""noida-db: a small server from PyPI that speaks Kafka's protocol. For one worker and demo-sized data."""

import importlib.util
import os
from pathlib import Path

from streams.broker.base import HOST

WARNING = (
    "Using noida-db, not Apache Kafka: one worker and demo-sized data only (all of it in memory, no TLS, "
    "no real SASL, and a worker that dies uncleanly blocks its group until the broker restarts)."
)


def find() -> Path | None:
    """The server's binary, None where the package is not installed."""
    spec = importlib.util.find_spec("noida_db")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        binary = Path(folder, "noida-db")
        if binary.is_file():
            return binary
    return None


def prepare(binary: Path, data_dir: Path, port: int) -> list[str]:
    """The command that serves, its data in `data_dir`."""
    data_dir.mkdir(parents=True, exist_ok=True)
    if not os.access(binary, os.X_OK):
        binary.chmod(0o755)  # some installers drop the bit
    return [
        str(binary), "start", "--only", "kafka", "--host", HOST,
        "--kafka-port", str(port), "--data-dir", str(data_dir / "data"),
    ]  # fmt: skip
