"""The benchmark for a GPU: without one it measures nothing and says so; every step of it runs on a CPU."""

import json
from pathlib import Path

import pytest

from benchmarks import encoder_gpu
from encoders.models import build_model, load_encoder
from tests import tinybert


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    return build_model(f"{tinybert.write(tmp_path / 'tiny')}@fp16", tmp_path / "cache", print)


def test_without_a_gpu_nothing_is_measured(artifact: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="nothing was measured: a GPU is required, but ONNX Runtime runs on CPU"):
        encoder_gpu.main([str(artifact)])
    assert capsys.readouterr().out == ""


def test_every_step_runs_on_a_cpu(
    artifact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(encoder_gpu, "LENGTHS", (4, 8))
    monkeypatch.setattr(encoder_gpu, "peak_flops", lambda *_: 1e9)
    monkeypatch.setattr(encoder_gpu, "peer", lambda *_: load_encoder("tiny@fp16", tmp_path / "cache").encode)
    file = tmp_path / "gpu.json"
    encoder_gpu.main(
        [str(artifact), "--cpu", "--texts", "6", "--seconds", "0.01", "--weights", "x", "--json", str(file)]
    )
    result = json.loads(file.read_text())
    assert [(row["tokens"], row["texts"]) for row in result["rows"]] == [(4, 6), (8, 6)]
    assert result["provider"] == "CPUExecutionProvider"
    assert result["cosine_to_sentence_transformers"] > 0.999
    assert all(row["plain"]["per_second"] > 0 for row in result["rows"])
    assert "x sentence-transformers" in capsys.readouterr().out
