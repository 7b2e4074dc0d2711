"""The note a broker leaves for later commands: read back whole, and worth nothing where it cannot be read."""

import threading
from pathlib import Path

import pytest

from streams.broker import Broker, BrokerKind, local, state
from streams.broker.process import ProcessId

NOBODY = ProcessId(2**22 + 1, "1")
"""A pid beyond what Linux gives out."""


@pytest.fixture
def broker(tmp_path: Path) -> Broker:
    state.folder(tmp_path).mkdir()
    return Broker("127.0.0.1:9092", BrokerKind.APACHE_KAFKA, owned=False, process=NOBODY, log=tmp_path / "log")


def test_what_is_written_is_read(tmp_path: Path, broker: Broker) -> None:
    state.write(tmp_path, broker)
    assert state.read(tmp_path) == broker
    assert [path.name for path in state.folder(tmp_path).iterdir()] == ["state.json"]


def test_what_is_removed_is_gone(tmp_path: Path, broker: Broker) -> None:
    state.write(tmp_path, broker)
    state.remove(tmp_path)
    state.remove(tmp_path)
    assert state.read(tmp_path) is None


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"pid": "x"}', "null"])
def test_a_file_that_says_nothing_is_no_broker(tmp_path: Path, text: str) -> None:
    state.folder(tmp_path).mkdir()
    (state.folder(tmp_path) / "state.json").write_text(text)
    assert state.read(tmp_path) is None


def test_a_broker_whose_process_is_gone_is_not_found(tmp_path: Path, broker: Broker) -> None:
    state.write(tmp_path, broker)
    assert local.find(tmp_path) is None
    assert local.stop(tmp_path) is None
    assert state.read(tmp_path) is None


def test_a_broker_without_a_process_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="without a process"):
        state.write(tmp_path, Broker("kafka:9092", BrokerKind.CLUSTER, owned=False))


def test_the_lock_lets_one_in_at_a_time(tmp_path: Path) -> None:
    order: list[str] = []

    def second() -> None:
        with state.locked(tmp_path):
            order.append("second")

    with state.locked(tmp_path):
        thread = threading.Thread(target=second)
        thread.start()
        thread.join(0.2)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]
