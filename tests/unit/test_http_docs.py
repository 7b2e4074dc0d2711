"""docs/http.md names every address, scope, problem and setting that there is."""

from pathlib import Path

from streams.settings import ApiSettings
from streams.web.keys import Scope
from streams.web.problems import Kind
from streams.web.routes import ROUTES

TEXT = (Path(__file__).parents[2] / "docs" / "http.md").read_text(encoding="utf-8")


def test_addresses_with_their_scopes() -> None:
    lines = TEXT.splitlines()
    for route in ROUTES:
        (line,) = (line for line in lines if line.startswith("|") and f"`{route.method} {route.path}`" in line)
        assert f"| {route.scope.value} |" in line
    assert all(f"| {scope.value} |" in TEXT for scope in Scope)


def test_problems() -> None:
    missing = [kind.type for kind in Kind if f"`{kind.type.rpartition(':')[2]}`" not in TEXT]
    assert missing == []


def test_settings() -> None:
    unmentioned = {
        f"UPWELL_API_{name.upper()}" for name in ApiSettings.model_fields if f"UPWELL_API_{name.upper()}" not in TEXT
    }
    assert unmentioned == set()
