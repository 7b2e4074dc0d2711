"""Where a model runs: buffers of fixed shape, what happens when a GPU fails, how a token budget is chosen."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from encoders import budget
from encoders.base import MissingRuntimeError, Vectors
from encoders.batching import Batch
from encoders.models import build_model, load_encoder
from encoders.onnx import OnnxEncoder
from encoders.runners import CpuRunner, GpuRunner, WithFallback
from encoders.runtime import CPU, Device, Running, open_session
from encoders.store import MODEL, TOKENIZER, verify
from tests import tinybert

TEXTS = ["red shoe", "blue shirt", "milk", "oak lamp wool tea pan", "bread cup", ""] * 3


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    return build_model(str(tinybert.write(tmp_path / "tiny")), tmp_path / "cache", print)


def cpu_encoder(artifact: Path) -> OnnxEncoder:
    manifest, files = verify(artifact)
    return OnnxEncoder(manifest, files[MODEL], files[TOKENIZER])


def fixed_shapes(artifact: Path, tokens: int = 48) -> GpuRunner:
    """The GPU's runner over a CPU session and CPU memory: the same bindings, copies and shapes."""
    session = open_session(verify(artifact)[1][MODEL])
    return GpuRunner(session, tinybert.TOKENS, tinybert.WIDTH, tokens=tokens, memory="cpu")


class Broken:
    """A GPU that fails after some batches."""

    provider = "CUDAExecutionProvider"

    def __init__(self, runner: GpuRunner, good: int) -> None:
        self._runner = runner
        self._good = good

    def plan(self, lengths: Sequence[int]) -> list[Batch]:
        return self._runner.plan(lengths)

    def run(self, ids: Sequence[Sequence[int]], tokens: int) -> Vectors:
        if not self._good:
            raise RuntimeError("CUDA error: an illegal memory access was encountered")
        self._good -= 1
        return self._runner.run(ids, tokens)


def test_fixed_shapes_give_the_vectors_of_free_ones(artifact: Path) -> None:
    encoder = cpu_encoder(artifact)
    expected = encoder.encode(TEXTS)
    encoder._runner = fixed_shapes(artifact)
    np.testing.assert_allclose(encoder.encode(TEXTS), expected, atol=1e-6)


def test_fixed_shapes_do_not_depend_on_company(artifact: Path) -> None:
    encoder = cpu_encoder(artifact)
    encoder._runner = fixed_shapes(artifact)
    alone = np.concatenate([encoder.encode([text]) for text in TEXTS])
    np.testing.assert_array_equal(encoder.encode(TEXTS), alone)
    np.testing.assert_array_equal(encoder.encode(TEXTS[::-1]), alone[::-1])


def test_no_item_is_lost_when_the_gpu_fails_in_flight(artifact: Path, caplog: pytest.LogCaptureFixture) -> None:
    encoder = cpu_encoder(artifact)
    expected = encoder.encode(TEXTS)
    cpu = CpuRunner(open_session(verify(artifact)[1][MODEL]), tinybert.TOKENS)
    opened: list[CpuRunner] = []

    def open_cpu() -> CpuRunner:
        opened.append(cpu)
        return cpu

    runner = WithFallback(Broken(fixed_shapes(artifact, tokens=24), good=2), open_cpu)
    encoder._runner = runner
    assert encoder.provider == "CUDAExecutionProvider"
    np.testing.assert_allclose(encoder.encode(TEXTS), expected, atol=1e-6)
    assert encoder.provider == CPU
    assert runner.fallbacks == 1
    assert "the GPU failed" in caplog.text
    encoder.encode(TEXTS)
    assert len(opened) == 1


def test_what_fails_on_the_cpu_too_is_raised(artifact: Path) -> None:
    always = Broken(fixed_shapes(artifact), good=0)
    runner = WithFallback(always, lambda: always)  # type: ignore[arg-type, return-value]
    for _ in range(2):
        with pytest.raises(RuntimeError, match="CUDA error"):
            runner.run([[2, 3]], 4)


def test_a_gpu_that_is_demanded_and_missing_is_an_error(artifact: Path) -> None:
    manifest, files = verify(artifact)
    with pytest.raises(MissingRuntimeError, match="a GPU is required, but ONNX Runtime runs on CPUExecutionProvider"):
        OnnxEncoder(manifest, files[MODEL], files[TOKENIZER], running=Running(Device.GPU))


def test_the_provider_is_what_the_session_says(artifact: Path) -> None:
    assert cpu_encoder(artifact).provider == CPU


def test_the_smallest_budget_that_is_about_as_good_wins() -> None:
    now = 0.0
    costs = {8: 3.0, 16: 2.02, 32: 2.0, 64: 2.5}  # seconds a row

    def run(rows: int, tokens: int) -> None:
        nonlocal now
        now += costs[rows] * rows

    assert budget.measure(run, lambda: now, candidates=[rows * 32 for rows in costs]) == 16 * 32


def test_a_moment_of_other_work_changes_no_budget() -> None:
    now, runs = 0.0, 0

    def run(rows: int, tokens: int) -> None:
        nonlocal now, runs
        runs += 1
        disturbed = 2 if runs in (3, 4) else 1
        now += disturbed * rows * (2.0 if rows == 16 else 3.0)

    assert budget.measure(run, lambda: now, candidates=[8 * 32, 16 * 32]) == 16 * 32


def test_a_measured_budget_changes_no_vector(artifact: Path, tmp_path: Path) -> None:
    fixed = load_encoder("tiny", tmp_path / "cache", token_budget=16)
    measured = load_encoder("tiny", tmp_path / "cache", token_budget=None)
    assert isinstance(measured, OnnxEncoder)
    assert measured.token_budget in budget.CANDIDATES
    np.testing.assert_array_equal(measured.encode(TEXTS), fixed.encode(TEXTS))
