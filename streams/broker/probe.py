"""Is a Kafka broker ready? Asked in Kafka's own protocol: an open port says little.

One Metadata request, version 1, for no topics: the answer lists the brokers that are registered and live.
Wire format: https://kafka.apache.org/protocol (request header v1, Metadata v1).
"""

import contextlib
import socket
import struct

_METADATA, _VERSION, _CORRELATION = 3, 1, 0x75707765
_CLIENT = b"upwell-probe"
_REQUEST = struct.pack(
    f">hhih{len(_CLIENT)}si", _METADATA, _VERSION, _CORRELATION, len(_CLIENT), _CLIENT, 0
)  # api key, version, correlation id, client id, zero topics


def answers(host: str, port: int, timeout_s: float = 1.0) -> bool:
    """Whether a Kafka broker at host:port says that at least one broker is live. PLAINTEXT listeners only."""
    with contextlib.suppress(OSError), socket.create_connection((host, port), timeout_s) as connection:
        connection.settimeout(timeout_s)
        connection.sendall(struct.pack(">i", len(_REQUEST)) + _REQUEST)
        # int32 size, int32 correlation id, int32 number of brokers
        head = _read(connection, 12)
        if len(head) == 12:
            _, correlation, brokers = struct.unpack(">iii", head)
            return bool(correlation == _CORRELATION and brokers > 0)
    return False


def _read(connection: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count and (more := connection.recv(count - len(data))):
        data += more
    return data


def port_is_free(host: str, port: int) -> bool:
    """Whether a server could listen on host:port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as candidate:
        candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            candidate.bind((host, port))
        except OSError:
            return False
    return True


def free_port(host: str) -> int:
    """A port that nobody listens on now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as candidate:
        candidate.bind((host, 0))
        return int(candidate.getsockname()[1])
