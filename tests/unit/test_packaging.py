"""The distribution: its names are its own, its metadata is what pyproject.toml says, a missing extra is named."""

import importlib.metadata
import importlib.util
import re
import subprocess
import sys
import tomllib
from importlib.resources import files
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
IMPORT_NAMES = ("streams", "encoders", "index")


def top_level(distribution: importlib.metadata.Distribution) -> set[str]:
    """The import names that a distribution installs."""
    listed = (distribution.read_text("top_level.txt") or "").split()
    installed = [path.parts[0].removesuffix(".py") for path in distribution.files or () if ".." not in path.parts]
    return {*listed, *installed}


def normal(name: str) -> str:
    """The one spelling of a distribution's name (PyPA, name normalisation)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def test_nobody_else_owns_our_import_names() -> None:
    others = [each for each in importlib.metadata.distributions() if normal(each.metadata["Name"]) != "upwell"]
    assert len(others) > 20  # or this looked at nothing
    owners = {name: each.metadata["Name"] for each in others for name in IMPORT_NAMES if name in top_level(each)}
    assert owners == {}


@pytest.mark.parametrize("name", IMPORT_NAMES)
def test_the_import_names_are_this_project(name: str) -> None:
    spec = importlib.util.find_spec(name)
    assert spec is not None
    assert spec.origin is not None
    assert Path(spec.origin).read_bytes() == (ROOT / name / "__init__.py").read_bytes()


def test_the_installed_version_is_the_declared_one() -> None:
    assert importlib.metadata.version("upwell") == PROJECT["version"]


def requirements(extra: str | None) -> set[str]:
    """Names that the installed distribution requires, always (None) or for an extra."""
    found = set()
    for line in importlib.metadata.requires("upwell") or ():
        marker = re.search(r"""extra == ['"]([^'"]+)""", line)
        if (marker[1] if marker else None) == extra:
            match = re.match(r"[\w.-]+", line)
            assert match, line
            found.add(normal(match[0]))
    return found


def declared(lines: list[str]) -> set[str]:
    return {normal(re.split(r"[^\w.-]", line, maxsplit=1)[0]) for line in lines}


def test_the_extras_are_as_declared() -> None:
    extras = PROJECT["optional-dependencies"]
    assert set(extras) == set(importlib.metadata.metadata("upwell").get_all("Provides-Extra") or ())
    assert {"cpu", "gpu", "demo", "export", "dev"} <= set(extras)
    for extra, lines in extras.items():
        assert requirements(extra) == declared(lines), extra


def test_the_core_requires_no_onnxruntime_and_the_two_extras_bring_one_each() -> None:
    assert requirements(None) == declared(PROJECT["dependencies"])
    assert not {name for name in requirements(None) if name.startswith("onnxruntime")}
    assert requirements("cpu") == {"onnxruntime"}
    assert requirements("gpu") == {"onnxruntime-gpu"}


@pytest.mark.parametrize("name", ["kafka-pom.xml", "kafka-jars.sha256"])
def test_the_files_the_broker_needs_travel_with_the_package(name: str) -> None:
    assert files("streams.broker").joinpath(name).read_text()


def test_without_onnxruntime_the_message_says_what_to_install() -> None:
    program = (
        "import sys; sys.modules['onnxruntime'] = None  # as if it were not there\n"
        "from encoders.base import MissingRuntimeError\n"
        "from encoders.runtime import open_session\n"
        "try:\n"
        "    open_session(b'')\n"
        "except MissingRuntimeError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "upwell[cpu]" in done.stdout
    assert "upwell[gpu]" in done.stdout
