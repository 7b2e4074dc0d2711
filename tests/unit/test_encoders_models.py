"""Names, paths and versions: what they mean, and what is said where they mean nothing."""

import sys
from pathlib import Path

import msgspec
import pytest

from encoders.base import MissingRuntimeError, ModelError
from encoders.card import FORMAT, Precision
from encoders.hashing import HashingEncoder
from encoders.models import HASHING, Request, build_model, encoder_id, load_encoder, locate
from encoders.store import Store, verify
from tests import tinybert


def silent(step: str) -> None:
    """A report that nobody reads."""


@pytest.mark.parametrize(
    ("text", "name", "precision", "version"),
    [
        ("all-MiniLM-L6-v2", "all-MiniLM-L6-v2", None, None),
        ("all-MiniLM-L6-v2@int8", "all-MiniLM-L6-v2", Precision.INT8, None),
        ("all-MiniLM-L6-v2@fp16-0a1b2c3d", "all-MiniLM-L6-v2", Precision.FP16, "fp16-0a1b2c3d"),
    ],
)
def test_a_request_names_model_precision_and_version(
    text: str, name: str, precision: Precision | None, version: str | None
) -> None:
    assert Request.parse(text) == Request(name, None, precision, version)


def test_an_unknown_precision_lists_the_known_ones() -> None:
    with pytest.raises(ModelError, match="fp32, fp16, int8, ready or a version, not 'fp64'"):
        Request.parse("all-MiniLM-L6-v2@fp64")


def test_a_path_may_contain_an_at_sign_and_carry_a_precision(tmp_path: Path) -> None:
    directory = tinybert.write(tmp_path / "shop@home")
    assert Request.parse(str(directory)) == Request("shop@home", directory, None, None)
    assert Request.parse(f"{directory}@fp16") == Request("shop@home", directory, Precision.FP16, None)


def test_hashing_needs_no_files(tmp_path: Path) -> None:
    encoder = load_encoder(HASHING, tmp_path, template="title")
    assert isinstance(encoder, HashingEncoder)
    assert encoder.id == HashingEncoder(template="title").id
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "dim", ["1", "x", "-4", "²", "99999999999", pytest.param("9" * 5000, id="longer than Python reads")]
)
def test_a_length_that_no_vector_has_is_refused(tmp_path: Path, dim: str) -> None:
    with pytest.raises(ModelError, match="comes the length of a vector, 2 to 32768, such as 256"):
        load_encoder(f"{HASHING}@{dim}", tmp_path)


@pytest.mark.parametrize("text", ["", "@int8"])
def test_no_name_is_no_path(tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tinybert.write(tmp_path / "tiny"))
    with pytest.raises(ModelError, match="unknown model ''"):
        load_encoder(text, tmp_path / "cache", build=True)


@pytest.mark.parametrize("name", ["hashing", "two\nlines", "n" * 201])
def test_a_directory_whose_name_no_vector_can_carry_is_refused(tmp_path: Path, name: str) -> None:
    directory = tinybert.write(tmp_path / name)
    with pytest.raises(ModelError, match="give it another name"):
        build_model(str(directory), tmp_path / "cache", silent)


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "../../outside",
        "a/b",
        "/upwell-outside",
        ".hidden",
        "-x",
        "x@int8",
        "nul\0",
        "two\nlines",
        "hashing",
        "all-MiniLM-L6-v2",
        "tiny",
        "n" * 101,
    ],
)
def test_a_pruned_model_cannot_be_called_anything(tmp_path: Path, name: str) -> None:
    directory = tinybert.write(tmp_path / "tiny")
    with pytest.raises(ModelError, match=r"cannot be called .*: choose a name"):
        build_model(str(directory), tmp_path / "cache" / "deep", silent, layers=[0], name=name)
    assert [path.name for path in tmp_path.iterdir()] == ["tiny"]


def test_a_directory_may_have_the_name_of_a_known_model(tmp_path: Path) -> None:
    directory = tinybert.write(tmp_path / "all-MiniLM-L6-v2")
    built = build_model(str(directory), tmp_path / "cache", silent)
    assert locate(f"all-MiniLM-L6-v2@{built.name}", tmp_path / "cache") == built
    with pytest.raises(ModelError, match="all-MiniLM-L6-v2 is not built yet"):
        locate("all-MiniLM-L6-v2", tmp_path / "cache")


def test_a_file_that_is_no_graph_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes(b"?")
    with pytest.raises(ModelError, match=r"model\.bin is no model: name an ONNX file"):
        build_model(str(tmp_path / "model.bin"), tmp_path / "cache", silent)


def test_an_unknown_name_lists_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="unknown model 'bert-of-mine': choose hashing, all-MiniLM-L6-v2"):
        load_encoder("bert-of-mine", tmp_path)
    with pytest.raises(ModelError, match="unknown model"):
        load_encoder("bert-of-mine", tmp_path, build=True)


def test_a_model_that_is_not_built_says_what_to_run(tmp_path: Path) -> None:
    for name in ("all-MiniLM-L6-v2", "all-MiniLM-L6-v2@int8", str(tinybert.write(tmp_path / "tiny"))):
        with pytest.raises(ModelError, match=f"run `upwell model build {name}`"):
            load_encoder(name, tmp_path / "cache")


@pytest.mark.parametrize("name", ["all-MiniLM-L6-v2", "of-another-machine"])
@pytest.mark.parametrize("build", [False, True])
def test_a_version_that_is_not_here_says_where_to_get_it(tmp_path: Path, name: str, build: bool) -> None:
    told = f"copy {tmp_path}/models/{name}/int8-0a1b2c3d from .*or run `upwell model build {name}@int8` with"
    with pytest.raises(ModelError, match=told):
        load_encoder(f"{name}@int8-0a1b2c3d", tmp_path, build=build)


def test_int8_asks_for_the_shops_texts(tmp_path: Path) -> None:
    directory = tinybert.write(tmp_path / "tiny")
    with pytest.raises(ModelError, match="got 1 different ones, wanted 200 or more"):
        build_model(f"{directory}@int8", tmp_path / "cache", silent, texts=["red shoe"] * 500)


def test_a_built_model_is_found_by_name_path_and_version(tmp_path: Path) -> None:
    directory, cache = tinybert.write(tmp_path / "tiny"), tmp_path / "cache"
    path = build_model(str(directory), cache, silent)
    assert locate(str(directory), cache) == path
    assert locate("tiny", cache) == path
    assert locate(f"tiny@{path.name}", cache) == path
    with pytest.raises(ModelError):
        locate("tiny@fp16", cache)


def test_an_artifact_of_a_former_format_runs_where_its_version_is_named(tmp_path: Path) -> None:
    directory, cache = tinybert.write(tmp_path / "tiny"), tmp_path / "cache"
    manifest, files = verify(build_model(str(directory), cache, silent))
    former = Store(cache).install(msgspec.structs.replace(manifest, format=1), files)
    unknown = Store(cache).install(msgspec.structs.replace(manifest, format=FORMAT + 1), files)
    assert locate("tiny", cache).name == manifest.version
    assert load_encoder(f"tiny@{former.name}", cache).id == f"tiny@{former.name}"
    with pytest.raises(ModelError):
        locate(f"tiny@{unknown.name}", cache)


def test_an_id_is_known_without_loading_the_model(tmp_path: Path) -> None:
    directory, cache = tinybert.write(tmp_path / "tiny"), tmp_path / "cache"
    path = build_model(str(directory), cache, silent)
    for name in (str(directory), f"tiny@{path.name}", "hashing@256"):
        assert encoder_id(name, cache, "title") == load_encoder(name, cache, template="title").id
    (path / "model.onnx").write_bytes(b"another")
    with pytest.raises(ModelError, match=r"model\.onnx was changed"):
        encoder_id("tiny", cache)


def test_a_directory_whose_files_changed_is_another_model(tmp_path: Path) -> None:
    directory, cache = tinybert.write(tmp_path / "tiny"), tmp_path / "cache"
    before = load_encoder(str(directory), cache, build=True)
    tinybert.write(directory, seed=1)
    with pytest.raises(ModelError, match="not built yet"):
        load_encoder(str(directory), cache)
    after = load_encoder(str(directory), cache, build=True)
    assert after.id != before.id
    with pytest.raises(ModelError, match=r"could be any of tiny@fp32-\w+, tiny@fp32-\w+: name one of them"):
        load_encoder("tiny", cache)


def test_a_version_cannot_be_asked_of_a_build(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="building gives the version"):
        build_model("all-MiniLM-L6-v2@fp32-00000000", tmp_path, silent)


def test_a_model_of_an_older_format_is_not_used(tmp_path: Path) -> None:
    directory, cache = tinybert.write(tmp_path / "tiny"), tmp_path / "cache"
    manifest, files = verify(build_model(str(directory), cache, silent))
    older = msgspec.structs.replace(manifest, format=manifest.format - 1)
    Store(tmp_path / "older").install(older, files)
    with pytest.raises(ModelError, match="not built yet"):
        load_encoder(str(directory), tmp_path / "older")


def test_without_a_runtime_the_extras_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory, cache = tinybert.write(tmp_path / "tiny"), tmp_path / "cache"
    build_model(str(directory), cache, silent)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingRuntimeError, match=r"upwell\[cpu\] or upwell\[gpu\]"):
        load_encoder(str(directory), cache)


def test_a_required_gpu_that_is_not_there_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import onnxruntime

    directory, cache = tinybert.write(tmp_path / "tiny"), tmp_path / "cache"
    build_model(str(directory), cache, silent)
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    with pytest.raises(MissingRuntimeError, match="a GPU is required, but ONNX Runtime runs on CPUExecutionProvider"):
        load_encoder(str(directory), cache, require_gpu=True)
    with pytest.raises(MissingRuntimeError, match="hashing runs on the CPU alone"):
        load_encoder("hashing@64", cache, require_gpu=True)


def test_the_provider_in_use_is_told(tmp_path: Path) -> None:
    from encoders.onnx import OnnxEncoder

    encoder = load_encoder(str(tinybert.write(tmp_path / "tiny")), tmp_path / "cache", build=True)
    assert isinstance(encoder, OnnxEncoder)
    assert encoder.provider in {"CPUExecutionProvider", "CUDAExecutionProvider"}
