"""Apache Kafka's jars: resolved by Maven from a pinned POM, checked against committed digests, kept in a cache.

    cache_dir/kafka/4.1.2/*.jar        complete and checked, or not there at all

Maven copies into a temporary folder beside it, the digests are checked there, and one rename makes it visible:
two processes that do it at once both end with a complete folder.
"""

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

from streams.errors import BrokerError

Tell = Callable[[str], None]
"""Shows a line to the person who waits."""

_PACKAGE = files("streams.broker")
_POM = _PACKAGE.joinpath("kafka-pom.xml").read_text()
_DIGESTS = _PACKAGE.joinpath("kafka-jars.sha256").read_text()
_GOAL = "dependency:copy-dependencies"
_TIMEOUT_S = 600


class JarsUnavailableError(BrokerError):
    """The jars are not cached and Maven cannot bring them. A wrong digest is a plain BrokerError."""


def kafka_version() -> str:
    """The pinned version of Apache Kafka."""
    match = re.search(r"<kafka\.version>([^<]+)<", _POM)
    if match is None:
        raise BrokerError("streams/broker/kafka-pom.xml names no kafka.version: reinstall upwell")
    return match[1]


def digests() -> dict[str, str]:
    """SHA-256 of every jar, by file name."""
    return {name: digest for digest, name in (line.split() for line in _DIGESTS.splitlines())}


def cached(cache_dir: Path) -> bool:
    """Whether the jars are there already (without looking into them)."""
    return _home(cache_dir).is_dir()


def find_maven() -> Path | None:
    """Maven's launcher: `MAVEN_HOME`, then the PATH."""
    if home := os.environ.get("MAVEN_HOME"):
        launcher = Path(home, "bin", "mvn").absolute()
        if launcher.is_file():
            return launcher
    on_path = shutil.which("mvn")
    return Path(on_path).absolute() if on_path else None


def jars(cache_dir: Path, tell: Tell) -> Path:
    """The folder with the checked jars, fetched first where it is not there or was changed.

    Raises:
        JarsUnavailableError: not cached, and Maven is missing or fails.
        BrokerError: Maven brought files other than the pinned ones.
    """
    home = _home(cache_dir)
    if home.is_dir():
        if not (wrong := _differences(home)):
            return home
        tell(f"The cached Apache Kafka in {home} was changed ({wrong[0]}): fetching it again.")
    maven = find_maven()
    if maven is None:
        raise JarsUnavailableError("Maven (mvn) is not on the PATH, and Apache Kafka's jars are not cached")
    home.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=home.parent, prefix=".fetch-") as scratch:
        fetched = _fetch(maven, Path(scratch), tell)
        if wrong := _differences(fetched):
            raise BrokerError(
                f"Maven brought files other than the pinned Apache Kafka {kafka_version()}: "
                + "; ".join(wrong)
                + ". Nothing was installed. Check the Maven mirror in use."
            )
        _swap_in(fetched, home, Path(scratch, "old"))
    return home


def _home(cache_dir: Path) -> Path:
    return cache_dir / "kafka" / kafka_version()


def _fetch(maven: Path, scratch: Path, tell: Tell) -> Path:
    tell(f"Fetching Apache Kafka {kafka_version()} with Maven (43 MB, once for this user) …")
    pom, target = scratch / "pom.xml", scratch / "jars"
    pom.write_text(_POM)
    command = [str(maven), "-B", "-q", "-f", str(pom), _GOAL, f"-DoutputDirectory={target}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        raise JarsUnavailableError(f"Maven did not bring Apache Kafka's jars within {_TIMEOUT_S} s") from None
    if done.returncode:
        errors = [line for line in (done.stdout + done.stderr).splitlines() if "ERROR" in line]
        raise JarsUnavailableError("Maven could not bring Apache Kafka's jars: " + (errors or ["no reason given"])[0])
    return target


def _swap_in(fetched: Path, home: Path, old: Path) -> None:
    """Rename `fetched` to `home`; what stood there goes to `old`. Another process may be faster: that is as good."""
    if home.is_dir() and _differences(home):
        home.rename(old)
    try:
        fetched.rename(home)
    except OSError:
        if not home.is_dir() or _differences(home):
            raise


def _differences(folder: Path) -> list[str]:
    """How the jars of a folder differ from the pinned ones, in words; empty where they do not."""
    wanted = digests()
    there = {path.name: path for path in folder.iterdir()}
    differences = [f"{name} is missing" for name in sorted(wanted.keys() - there.keys())]
    differences += [f"{name} is not part of it" for name in sorted(there.keys() - wanted.keys())]
    for name in sorted(wanted.keys() & there.keys()):
        with there[name].open("rb") as jar:
            got = hashlib.file_digest(jar, "sha256").hexdigest()
        if got != wanted[name]:
            differences.append(f"{name} has SHA-256 {got}, wanted {wanted[name]}")
    return differences
