"""`upwell model`, from a user's chair, with a tiny model."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from encoders.build import LIMITS
from encoders.card import Precision
from encoders.gates import Limits
from streams.cli import main
from tests import tinybert


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("UPWELL_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "120")
    return tinybert.write(tmp_path / "tiny")


def upwell(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["model", *arguments])


def rows(*arguments: str) -> list[dict[str, Any]]:
    result = upwell(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return list(json.loads(result.stdout))


def test_build_list_verify_and_bench_agree(directory: Path) -> None:
    (built,) = rows("build", str(directory))
    assert built["id"].startswith("tiny@fp32-")
    assert built["gate"]["cosine_min"] >= 0.9999
    listed = {row["id"]: row["built"] for row in rows("list")}
    assert listed == {built["id"]: True, "all-MiniLM-L6-v2": False, "multilingual-e5-small": False}
    assert rows("verify") == [built]
    (measured,) = rows("bench", "tiny", "--seconds", "0.05")
    assert measured["id"] == built["id"]
    assert measured["per_second"] > 0


def test_without_a_name_it_is_the_configured_model(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UPWELL_MODEL", str(directory))
    (built,) = rows("build")
    assert built["name"] == "tiny"
    (pruned,) = rows("prune", "--layers", "1")
    assert pruned["name"] == "tiny-1l"


@pytest.mark.parametrize("name", ["hashing", "hashing@256"])
def test_hashing_needs_no_building(directory: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("UPWELL_MODEL", name)
    for named in ((), (name,)):
        result = upwell("build", *named)
        assert (result.exit_code, result.stdout) == (0, "")
        assert "needs no building" in result.stderr
        assert rows("build", *named) == []
    assert "has no layers" in upwell("prune", "--layers", "0").output


@pytest.mark.parametrize("command", ["verify", "bench"])
def test_hashing_has_nothing_to_look_at(directory: Path, command: str) -> None:
    result = upwell(command, "hashing")
    assert result.exit_code == 2
    assert "hashing has no files: name another model" in result.stderr


def test_hashing_of_a_length_that_no_vector_has_is_not_ready(directory: Path) -> None:
    result = upwell("build", "hashing@x")
    assert result.exit_code == 2
    assert "comes the length of a vector" in result.stderr


@pytest.mark.parametrize("command", [("build",), ("prune", "--layers", "0"), ("bench",)])
@pytest.mark.parametrize(("content", "told"), [(b"\xff\xfe", "it is not UTF-8 text"), (b"\n \n", "holds no texts")])
def test_texts_that_are_none_are_refused(
    directory: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: tuple[str, ...],
    content: bytes,
    told: str,
) -> None:
    monkeypatch.setenv("UPWELL_MODEL", str(directory))
    path = tmp_path / "texts.txt"
    path.write_bytes(content)
    result = upwell(*command, "--texts", str(path))
    assert result.exit_code == 5
    assert f"{path} " in result.stderr
    assert told in result.stderr


@pytest.mark.parametrize("seconds", ["0", "nan"])
def test_bench_measures_a_window_at_least(directory: Path, seconds: str) -> None:
    rows("build", str(directory))
    (measured,) = rows("bench", "tiny", "--seconds", seconds)
    assert measured["texts"] > 0
    assert measured["per_second"] > 0


def test_tables_name_every_model(directory: Path) -> None:
    (built,) = rows("build", str(directory))
    assert built["id"] in upwell("list").stdout
    assert "not built" in upwell("list").stdout
    assert "Every digest is right." in upwell("verify", "tiny").stdout


def test_a_long_id_is_shown_whole_in_80_columns(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    (pruned,) = rows("prune", str(directory), "--layers", "1", "--as", "multilingual-e5-tiny-")
    for shown in (upwell("list").stdout, upwell("verify").stdout):
        assert f"{pruned['id']} " in shown
        assert "licence" in shown
    assert pruned["id"] in upwell("bench", "--seconds", "0.01").stdout


def test_prune_keeps_the_layers_it_is_told(directory: Path) -> None:
    (pruned,) = rows("prune", str(directory), "--layers", "1", "--as", "tinier")
    assert (pruned["name"], pruned["layers"]) == ("tinier", [1])
    assert upwell("prune", str(directory), "--layers", "one").exit_code == 2
    assert "cannot keep layers" in upwell("prune", str(directory), "--layers", "7").output


def test_a_model_without_its_file_is_told_by_the_list(directory: Path) -> None:
    (built,) = rows("build", str(directory))
    (Path(built["path"]) / "model.onnx").unlink()
    result = upwell("list")
    assert result.exit_code == 2
    assert "model.onnx is missing: delete" in result.stderr


@pytest.mark.parametrize("line", [b'{"id": "\xff", "title": "a"}', b'{"id": "a", "title": "a", "x": ' + b"[" * 100_000])
def test_a_line_that_is_no_item_is_named(directory: Path, tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "catalogue.jsonl"
    path.write_bytes(b'{"id": "a", "title": "red shoe"}\n' + line)
    result = upwell("build", f"{directory}@int8", "--texts", str(path))
    assert result.exit_code == 5
    assert "catalogue.jsonl, line 2 is no catalogue item" in result.stderr


def test_a_tampered_model_fails_verification(directory: Path) -> None:
    (built,) = rows("build", str(directory))
    with (Path(built["path"]) / "tokenizer.json").open("a") as file:
        file.write(" ")
    result = upwell("verify")
    assert result.exit_code == 2
    assert "tokenizer.json was changed" in result.output
    rows("build", str(directory))
    assert upwell("verify").exit_code == 0


def test_int8_is_calibrated_on_catalogue_items_or_on_lines(
    directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = tinybert.WORDS[len(tinybert.SPECIAL) :]
    titles = [f"{a} {b} {c}" for a in words for b in words for c in words][:300]
    lines, items = tmp_path / "texts.txt", tmp_path / "catalogue.jsonl"
    lines.write_text("\n".join(titles))
    items.write_text("\n".join(json.dumps({"id": str(i), "title": title}) for i, title in enumerate(titles)))
    refused = upwell("build", f"{directory}@int8", "--texts", str(lines))
    assert refused.exit_code == 2
    assert "parity with the reference is lost: recall_at_10" in refused.output, "random weights do not survive int8"
    assert all(row["built"] is False for row in rows("list"))

    monkeypatch.setitem(LIMITS, Precision.INT8, Limits())
    (from_lines,) = rows("build", f"{directory}@int8", "--texts", str(lines))
    (from_items,) = rows("build", f"{directory}@int8", "--texts", str(items))
    assert from_lines == from_items
    items.write_text('{"id": "1"}')
    assert "line 1 is no catalogue item" in upwell("build", f"{directory}@int8", "--texts", str(items)).output


def test_nothing_built_says_what_to_run(directory: Path) -> None:
    for arguments in (["verify"], ["bench"], ["verify", "all-MiniLM-L6-v2"]):
        result = upwell(*arguments)
        assert result.exit_code == 2
        assert "run `upwell model build" in result.output


def test_every_command_has_help_with_examples() -> None:
    for command in ("build", "prune", "verify", "bench"):
        assert "Examples:\n  " in upwell(command, "--help").output
