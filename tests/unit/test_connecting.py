"""Asking why a Kafka cannot be connected to leaves nothing open, however slowly the other side takes leave."""

import asyncio
import gc
import socket
import ssl
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import trustme

from streams.broker.base import HOST
from streams.connecting import why_not
from streams.settings import KafkaSettings, SecurityProtocol

_LEAVE_S = 0.2
"""A loop that does not wait for the other side is long closed by then."""


@contextmanager
def no_kafka(context: ssl.SSLContext) -> Iterator[str]:
    """host:port of somebody who speaks TLS, not Kafka, and takes leave late."""

    over = threading.Event()

    def serve(listening: socket.socket) -> None:
        while not over.is_set():
            # No answer comes of those who only look whether somebody is there, or what certificate we show.
            with suppress(OSError):
                raw, _ = listening.accept()
                with raw, context.wrap_socket(raw, server_side=True) as spoken:
                    if spoken.recv(4096):
                        spoken.sendall(b"\0\0\0\4what")  # no answer to this question
                        time.sleep(_LEAVE_S)
                        spoken.unwrap()

    with socket.create_server((HOST, 0)) as listening:
        listening.settimeout(0.1)
        thread = threading.Thread(target=serve, args=(listening,))
        thread.start()
        try:
            yield f"{HOST}:{listening.getsockname()[1]}"
        finally:
            over.set()
            thread.join()


@pytest.mark.parametrize("trusted", [True, False])
def test_nothing_stays_open(tmp_path: Path, trusted: bool) -> None:
    ours, others = trustme.CA(), trustme.CA()
    (ours if trusted else others).cert_pem.write_to_path(tmp_path / "ca")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ours.issue_cert(HOST).configure_cert(context)
    kafka = KafkaSettings(security_protocol=SecurityProtocol.SSL, ssl_cafile=tmp_path / "ca")
    with no_kafka(context) as address, warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        said = asyncio.run(why_not(address, kafka))
        gc.collect()
    assert said is not None
    assert ("does not speak Kafka to us" if trusted else "shows a certificate that is not trusted") in said
    assert [str(warning.message) for warning in warned] == []
