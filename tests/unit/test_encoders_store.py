"""What is loaded is what was built: every change to an artifact is seen."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from encoders.base import ModelError
from encoders.card import Manifest, Precision
from encoders.models import build_model, load_encoder
from encoders.store import Store, read_manifest, verify
from tests import tinybert


def silent(step: str) -> None:
    """A report that nobody reads."""


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    return build_model(str(tinybert.write(tmp_path / "tiny")), tmp_path / "cache", silent)


def edit_manifest(**changes: object) -> Callable[[Path], None]:
    def edit(artifact: Path) -> None:
        manifest = json.loads((artifact / "manifest.json").read_text())
        card = {field: value for field, value in changes.items() if field in manifest["card"]}
        manifest["card"] |= card
        manifest |= {field: value for field, value in changes.items() if field not in card}
        (artifact / "manifest.json").write_text(json.dumps(manifest))

    return edit


def flip_a_bit(name: str) -> Callable[[Path], None]:
    def flip(artifact: Path) -> None:
        data = bytearray((artifact / name).read_bytes())
        data[len(data) // 2] ^= 1
        (artifact / name).write_bytes(data)

    return flip


def spoil_the_name(artifact: Path) -> None:
    data = (artifact / "manifest.json").read_bytes()
    (artifact / "manifest.json").write_bytes(data.replace(b'"tiny"', b'"\xff"'))


TAMPERING = {
    "a bit of the model": (flip_a_bit("model.onnx"), "model.onnx was changed"),
    "another tokenizer": (lambda a: (a / "tokenizer.json").write_text("{}"), "tokenizer.json was changed"),
    "no model": (lambda a: (a / "model.onnx").unlink(), "model.onnx is missing"),
    "no manifest": (lambda a: (a / "manifest.json").unlink(), "manifest.json is missing"),
    "no JSON": (lambda a: (a / "manifest.json").write_text("{"), "damaged"),
    "no text": (spoil_the_name, "damaged"),
    "an unknown field": (edit_manifest(colour="red"), "damaged"),
    "another prefix": (edit_manifest(prefix="passage: "), "was changed"),
    "another length": (edit_manifest(max_tokens=4), "was changed"),
    "fewer files": (edit_manifest(files={}), "was changed"),
    "a file elsewhere": (edit_manifest(files={"../../../secret": "0" * 64}), "was changed"),
}


@pytest.mark.parametrize("what", TAMPERING)
def test_tampering_is_refused(artifact: Path, what: str) -> None:
    tamper, told = TAMPERING[what]
    tamper(artifact)
    with pytest.raises(ModelError, match=told):
        verify(artifact)


def test_a_manifest_cannot_reach_outside_of_its_directory(artifact: Path) -> None:
    # The directory is renamed to what the forged manifest says, so only the path check is left to refuse it.
    edit_manifest(files={"../outside": "0" * 64})(artifact)
    (artifact.parent / "outside").write_text("secret")
    forged = artifact.rename(artifact.parent / read_manifest(artifact).version)
    with pytest.raises(ModelError, match=r"\.\./outside is missing"):
        verify(forged)


def test_building_again_heals_a_damaged_artifact(artifact: Path, tmp_path: Path) -> None:
    flip_a_bit("model.onnx")(artifact)
    with pytest.raises(ModelError, match="build the model again"):
        load_encoder(str(tmp_path / "tiny"), tmp_path / "cache", build=True)
    assert build_model(str(tmp_path / "tiny"), tmp_path / "cache", silent) == artifact
    verify(artifact)


def test_a_sound_artifact_is_left_alone(artifact: Path, tmp_path: Path) -> None:
    before = (artifact / "model.onnx").stat()
    build_model(str(tmp_path / "tiny"), tmp_path / "cache", silent)
    after = (artifact / "model.onnx").stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_two_builds_at_once_agree(artifact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = tmp_path / "other"
    shutil.copytree(artifact, other)
    flip_a_bit("model.onnx")(artifact)
    remove = shutil.rmtree

    def overtaken(path: Path, *, ignore_errors: bool) -> None:
        remove(path, ignore_errors=ignore_errors)
        if path == artifact:
            shutil.copytree(other, artifact)

    monkeypatch.setattr("encoders.store.shutil.rmtree", overtaken)
    assert build_model(str(tmp_path / "tiny"), tmp_path / "cache", silent) == artifact
    verify(artifact)
    assert list(artifact.parent.iterdir()) == [artifact], "something temporary was left"


def test_the_damage_of_another_model_is_none_of_ours(artifact: Path, tmp_path: Path) -> None:
    other = build_model(str(tinybert.write(tmp_path / "other")), tmp_path / "cache", silent)
    (other / "manifest.json").write_text("{")
    assert load_encoder("tiny@" + artifact.name, tmp_path / "cache").id == f"tiny@{artifact.name}"


def test_a_full_disk_says_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("encoders.store.os.fsync", full)
    with pytest.raises(OSError, match=r"No space left on device.*model\.onnx"):
        build_model(str(tinybert.write(tmp_path / "tiny")), tmp_path / "cache", silent)


def test_a_failed_build_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, data: bytes) -> None:
        path.write_bytes(data[:10])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("encoders.store._write", full)
    with pytest.raises(OSError, match="No space left"):
        build_model(str(tinybert.write(tmp_path / "tiny")), tmp_path / "cache", silent)
    assert list((tmp_path / "cache" / "models" / "tiny").iterdir()) == []
    assert list(Store(tmp_path / "cache")) == []


def test_the_version_covers_what_determines_a_vector_and_nothing_else(artifact: Path) -> None:
    manifest = read_manifest(artifact)

    def version(**changes: object) -> str:
        return msgspec.structs.replace(manifest, **changes).version

    def card(**changes: object) -> str:
        return version(card=msgspec.structs.replace(manifest.card, **changes))

    same = {version(gate={}), version(sources={}), card(licence="MIT"), card(source="elsewhere")}
    assert same == {manifest.version}
    other = {
        version(precision=Precision.FP16),
        version(files=manifest.files | {"model.onnx": "0" * 64}),
        version(files=manifest.files | {"tokenizer.json": "0" * 64}),
        version(format=manifest.format + 1),
        card(prefix="query: "),
        card(max_tokens=8),
    }
    assert manifest.version not in other
    assert len(other) == 6


def test_the_template_is_part_of_the_encoders_id(artifact: Path) -> None:
    manifest: Manifest = read_manifest(artifact)
    assert manifest.encoder_id("") == f"tiny@{manifest.version}"
    assert len({manifest.encoder_id(""), manifest.encoder_id("title"), manifest.encoder_id("title. brand")}) == 3
