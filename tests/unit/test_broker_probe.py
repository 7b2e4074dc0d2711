"""The ready-probe believes Kafka's protocol, not an open port."""

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator

import pytest

from streams.broker import probe

HOST = "127.0.0.1"


@contextlib.contextmanager
def server(answer: bytes) -> Iterator[tuple[int, list[bytes]]]:
    """A server that reads one request, sends `answer` and hangs up. Gives its port and what it was asked."""
    asked: list[bytes] = []
    with socket.create_server((HOST, 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                (size,) = struct.unpack(">i", connection.recv(4, socket.MSG_WAITALL))
                asked.append(connection.recv(size, socket.MSG_WAITALL))
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1], asked
        thread.join()


def metadata(correlation: int, brokers: int) -> bytes:
    return struct.pack(">iii", 8, correlation, brokers)


CORRELATION = struct.unpack(">i", b"upwe")[0]


@pytest.mark.parametrize(
    ("answer", "ready"),
    [
        pytest.param(metadata(CORRELATION, 1), True, id="one broker"),
        pytest.param(metadata(CORRELATION, 0), False, id="no broker registered yet"),
        pytest.param(metadata(7, 1), False, id="an answer to something else"),
        pytest.param(b"HTTP/1.1 400 Bad Request\r\n\r\n", False, id="a web server"),
        pytest.param(b"\0\0\0", False, id="cut off"),
        pytest.param(b"", False, id="nothing"),
    ],
)
def test_only_a_broker_that_knows_a_broker_is_ready(answer: bytes, ready: bool) -> None:
    with server(answer) as (port, _):
        assert probe.answers(HOST, port) is ready


def test_the_request_is_metadata_version_1_for_no_topics() -> None:
    with server(metadata(CORRELATION, 1)) as (port, asked):
        probe.answers(HOST, port)
    key, version, correlation, length = struct.unpack_from(">hhih", asked[0])
    assert (key, version, correlation) == (3, 1, CORRELATION)
    assert asked[0][10:] == b"upwell-probe" + bytes(4)
    assert length == len(b"upwell-probe")


def test_a_server_that_says_nothing_is_not_ready() -> None:
    with socket.create_server((HOST, 0)) as listener:
        assert not probe.answers(HOST, listener.getsockname()[1], timeout_s=0.1)


def test_a_closed_port_is_not_ready_and_is_free() -> None:
    port = probe.free_port(HOST)
    assert not probe.answers(HOST, port)
    assert probe.port_is_free(HOST, port)


def test_a_port_with_a_listener_is_not_free() -> None:
    with socket.create_server((HOST, 0)) as listener:
        assert not probe.port_is_free(HOST, listener.getsockname()[1])
