"""The supply chain: every package is pinned with hashes, and the bill of materials names what the lock names."""

import json
import re
import subprocess
import sysconfig
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
LOCK: dict[str, Any] = tomllib.loads((ROOT / "uv.lock").read_text())
PACKAGES = [package for package in LOCK["package"] if package["name"] != "upwell"]
UV = Path(sysconfig.get_path("scripts")) / "uv"


def test_every_package_is_pinned_with_its_hashes() -> None:
    assert len(PACKAGES) > 100
    for package in PACKAGES:
        files = [*package.get("wheels", ()), *([package["sdist"]] if "sdist" in package else [])]
        assert files, package["name"]
        for file in files:
            assert re.fullmatch(r"sha256:[0-9a-f]{64}", file["hash"]), package["name"]
        assert set(package["source"]) == {"registry"}, f"{package['name']} comes from elsewhere than a registry"


def test_the_lock_is_of_this_project() -> None:
    (own,) = (package for package in LOCK["package"] if package["name"] == "upwell")
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert set(own["optional-dependencies"]) == set(declared["optional-dependencies"])


@pytest.fixture(scope="module")
def sbom(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What `make sbom` writes."""
    path = tmp_path_factory.mktemp("sbom") / "upwell.cdx.json"
    command = re.search(r"^\t\$\(BIN\)/uv (export .*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert command
    words = command[1].replace("$(SBOM)", str(path)).replace("$(EXTRA)", "cpu").split()
    subprocess.run([UV, *words], cwd=ROOT, check=True, capture_output=True)
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def needed() -> set[str]:
    """What Upwell needs to run, with the extra `cpu`."""
    by_name: dict[str, list[dict[str, Any]]] = {}
    for package in LOCK["package"]:
        by_name.setdefault(package["name"], []).append(package)
    (own,) = by_name["upwell"]
    waiting = [link["name"] for link in (*own["dependencies"], *own["optional-dependencies"]["cpu"])]
    found: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += [link["name"] for package in by_name[name] for link in package.get("dependencies", ())]
    return found


def test_the_bill_of_materials_names_what_runs(sbom: dict[str, Any]) -> None:
    assert (sbom["bomFormat"], sbom["specVersion"]) == ("CycloneDX", "1.5")
    assert sbom["metadata"]["component"]["name"] == "upwell"
    listed = {component["name"]: component for component in sbom["components"]}
    assert {"faust-streaming", "onnxruntime", "rocksdict"} <= needed() <= set(listed)
    assert not {"torch", "transformers", "pytest"} & set(listed)
    versions = {(package["name"], package["version"]) for package in PACKAGES}
    for name, component in listed.items():
        assert (name, component["version"]) in versions
        assert component["purl"].startswith(f"pkg:pypi/{name}@{component['version']}")
