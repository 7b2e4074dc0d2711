"""The jars: what Maven brings is checked, becomes visible whole, and is fetched again when it was changed."""

import hashlib
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from streams.broker import maven
from streams.broker.maven import JarsUnavailableError
from streams.errors import BrokerError

JARS = {"kafka.jar": b"the broker", "slf4j.jar": b"the logger"}

Fake = Callable[..., None]


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def fake_maven(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fake:
    """Put a Maven in place that brings the given files, and pin the digests of JARS."""
    pinned = "".join(f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in JARS.items())
    monkeypatch.setattr(maven, "_DIGESTS", pinned)
    launcher = tmp_path / "maven" / "bin" / "mvn"
    launcher.parent.mkdir(parents=True)
    monkeypatch.setenv("MAVEN_HOME", str(tmp_path / "maven"))

    def install(files: dict[str, bytes], script: str = "") -> None:
        lines = [f"printf '{data.decode()}' > \"$target/{name}\"" for name, data in files.items()]
        launcher.write_text(
            "\n".join(
                [
                    "#!/bin/sh",
                    f'echo run >> "{tmp_path}/runs"',
                    'for word in "$@"; do case $word in -DoutputDirectory=*) target=${word#*=};; esac; done',
                    'mkdir -p "$target"',
                    *lines,
                    script,
                ]
            )
        )
        launcher.chmod(0o755)

    install(JARS)
    return install


def runs(tmp_path: Path) -> int:
    return len((tmp_path / "runs").read_text().splitlines())


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_pinned_files_cover_the_pinned_version() -> None:
    digests = maven.digests()
    assert f"kafka_2.13-{maven.kafka_version()}.jar" in digests
    assert f"kafka-clients-{maven.kafka_version()}.jar" in digests
    assert any(name.startswith("slf4j-simple-") for name in digests)
    assert all(len(digest) == 64 for digest in digests.values())


def test_jars_are_fetched_once(cache: Path, tmp_path: Path, fake_maven: Fake, told: list[str]) -> None:
    assert not maven.cached(cache)
    home = maven.jars(cache, told.append)
    assert maven.cached(cache)
    assert contents(home) == JARS
    assert maven.jars(cache, told.append) == home
    assert runs(tmp_path) == 1
    assert len(told) == 1
    assert "Fetching Apache Kafka" in told[0]


def test_nothing_but_the_jars_stays_behind(cache: Path, fake_maven: Fake, told: list[str]) -> None:
    home = maven.jars(cache, told.append)
    assert list(home.parent.iterdir()) == [home]


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({**JARS, "kafka.jar": b"something else"}, r"kafka\.jar has SHA-256 [0-9a-f]{64}, wanted"),
        ({"kafka.jar": JARS["kafka.jar"]}, r"slf4j\.jar is missing"),
        ({**JARS, "extra.jar": b""}, r"extra\.jar is not part of it"),
    ],
)
def test_other_files_than_the_pinned_are_refused(
    cache: Path, fake_maven: Fake, told: list[str], files: dict[str, bytes], words: str
) -> None:
    fake_maven(files)
    with pytest.raises(BrokerError, match=words) as caught:
        maven.jars(cache, told.append)
    assert not isinstance(caught.value, JarsUnavailableError)  # no reason to settle for another broker
    assert not maven.cached(cache)


def test_a_changed_cache_is_fetched_again(cache: Path, tmp_path: Path, fake_maven: Fake, told: list[str]) -> None:
    home = maven.jars(cache, told.append)
    (home / "kafka.jar").write_bytes(b"bit rot")
    assert maven.jars(cache, told.append) == home
    assert contents(home) == JARS
    assert runs(tmp_path) == 2
    assert any("was changed (kafka.jar has SHA-256" in line for line in told)


def test_a_maven_that_fails_gives_its_first_error(cache: Path, fake_maven: Fake, told: list[str]) -> None:
    fake_maven({}, "echo 'Downloading'; echo '[ERROR] Could not transfer artifact'; echo '[ERROR] more'; exit 1")
    with pytest.raises(JarsUnavailableError, match=r"\[ERROR\] Could not transfer artifact$"):
        maven.jars(cache, told.append)
    assert not maven.cached(cache)


def test_without_maven_the_cache_is_enough(
    cache: Path, fake_maven: Fake, told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    home = maven.jars(cache, told.append)
    monkeypatch.delenv("MAVEN_HOME")
    monkeypatch.setenv("PATH", "")
    assert maven.find_maven() is None
    assert maven.jars(cache, told.append) == home
    with pytest.raises(JarsUnavailableError, match="not on the PATH"):
        maven.jars(cache / "empty", told.append)


def test_two_at_once_both_end_with_the_whole(cache: Path, fake_maven: Fake, told: list[str]) -> None:
    fake_maven(JARS, "sleep 0.2")
    homes: list[Path] = []
    threads = [threading.Thread(target=lambda: homes.append(maven.jars(cache, told.append))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(homes) == 3
    assert len(set(homes)) == 1
    assert contents(homes[0]) == JARS
    assert list(homes[0].parent.iterdir()) == [homes[0]]
