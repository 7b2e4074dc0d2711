"""The products of ONNX Runtime: exact or not used, opened once and late, without threads."""

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper

from index import products as module
from index.products import ZERO, Codes, Dots, Products, exact, products
from tests.index_products import plain, saturating

PRODUCTS: list[Products] = [one for one in (plain, products(48)) if one is not None]


@pytest.fixture
def forgotten() -> Iterator[None]:
    """Nothing is known of this machine, before and after."""
    module._checked.cache_clear()
    yield
    module._checked.cache_clear()


def test_the_model_is_one_node() -> None:
    def argument(name: str, kind: int) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, kind, [None, None])

    graph = helper.make_graph(
        [helper.make_node("MatMulInteger", ["codes", "columns", "zero"], ["y"])],
        "products",
        [argument("codes", TensorProto.UINT8), argument("columns", TensorProto.INT8)],
        [argument("y", TensorProto.INT32)],
        [helper.make_tensor("zero", TensorProto.UINT8, [], bytes([ZERO]), raw=True)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 10)], ir_version=8)
    assert onnx.load_model_from_string(module._MODEL) == model
    onnx.checker.check_model(module._MODEL, full_check=True)


@pytest.mark.parametrize("multiply", PRODUCTS, ids=lambda one: one.__qualname__)
@given(
    n=st.integers(0, 70), b=st.integers(1, 40), dim=st.integers(1, 200), steps=st.integers(1, 2), seed=st.integers(0)
)
def test_products_are_exact_whatever_the_shape(
    multiply: Products, n: int, b: int, dim: int, steps: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    queries = rng.integers(-127, 128, (b * steps, dim * steps)).astype(np.int8)[::steps, ::steps]
    codes = rng.integers(1, 256, (n, dim)).astype(np.uint8)
    out = np.empty((n, b), dtype=np.int32)
    multiply(queries)(codes, out)
    assert out.tolist() == ((codes.astype(int) - 128) @ queries.T.astype(int)).tolist()


@pytest.mark.parametrize("dim", [1, 2, 3, 47, 64, 385])
def test_sums_in_16_bits_are_found_out(dim: int) -> None:
    assert exact(plain, dim)
    assert exact(saturating, dim) == (dim == 1)  # one product alone overflows nothing


class Session:
    """What `products` uses of a session, on another processor."""

    def __init__(self, multiply: Products) -> None:
        self._multiply = multiply

    def run(self, _: None, given: dict[str, np.ndarray]) -> list[np.ndarray]:
        codes, columns = given["codes"], given["columns"]
        out = np.empty((len(codes), columns.shape[1]), dtype=np.int32)
        self._multiply(columns.T)(codes, out)
        return [out]


@pytest.mark.usefixtures("forgotten")
def test_what_is_not_exact_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_session", lambda: Session(saturating))
    assert products(48) is None
    monkeypatch.setattr(module, "_session", lambda: Session(plain))
    assert products(48) is None  # it is asked once
    assert products(47) is not None


@pytest.mark.usefixtures("forgotten")
def test_without_onnxruntime_there_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    monkeypatch.setattr(module, "_session", module._session.__wrapped__)
    assert products(48) is None


@pytest.mark.usefixtures("forgotten")
def test_threads_share_one_session(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    codes: Codes = rng.integers(1, 256, (3000, 48)).astype(np.uint8)
    opened: list[int] = []

    def once() -> Session:
        opened.append(1)
        return Session(plain)

    def asked(seed: int) -> bool:
        queries = np.random.default_rng(seed).integers(-127, 128, (20, 48)).astype(np.int8)
        out, wanted = np.empty((2, 3000, 20), dtype=np.int32)
        multiply = products(48)
        assert multiply is not None
        for chosen, into in ((multiply, out), (plain, wanted)):
            dots: Dots = chosen(queries)
            dots(codes, into)
        return np.array_equal(out, wanted)

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(asked, range(40))) == (products(48) is not None)
        module._checked.cache_clear()
        monkeypatch.setattr(module, "_session", once)
        assert len(set(threads.map(lambda _: products(48), range(40)))) == len(opened) == 1


LATE = """
import os, sys
import numpy as np
from index.crossover import NEVER
from index.exact import ExactIndex
from index.hnsw import HnswIndex

vectors = np.random.default_rng(0).standard_normal((3000, 24)).astype(np.float32)
names = [str(number) for number in range(3000)]
walked, few, many = HnswIndex(24, crossover=NEVER), ExactIndex(24), ExactIndex(24)
walked.upsert(names, vectors)
walked.search(vectors[:20], 10)
few.upsert(names[:200], vectors[:200])
few.search(vectors[:20], 10)
many.upsert(names, vectors)
assert "onnxruntime" not in sys.modules
import onnxruntime  # has a thread of its own

threads = len(os.listdir("/proc/self/task"))
found, _ = many.search(vectors[:20], 10)
assert [row[0] for row in found] == names[:20]
assert many._scanner._codes is not None
assert "onnx" not in sys.modules
assert len(os.listdir("/proc/self/task")) == threads
"""


def test_it_is_opened_when_many_rows_are_scanned_without_threads() -> None:
    subprocess.run([sys.executable, "-c", LATE], check=True, timeout=60)
