"""Why a Kafka cannot be connected to, in words that name the setting: asked once a client has given up.

name ─► address ─► TCP ─► TLS ─► (client certificate) ─► Kafka ─► SASL

Clients report all of it as one error and log the rest. Nothing here tells a password or a user.
"""

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import Iterator
from typing import Any

from aiokafka.conn import AIOKafkaConnection
from aiokafka.errors import KafkaError, SaslAuthenticationFailed, UnsupportedSaslMechanismError

from streams.settings import KafkaSettings

_STEP_S = 5.0
"""So long a step may take."""

_ALERT_S = 0.5
"""A broker that turns a client certificate down does so after the handshake (TLS 1.3), this soon."""


async def why_not(bootstrap: str, kafka: KafkaSettings) -> str | None:
    """What keeps us from the first of the brokers that cannot be connected to; None if all can."""
    for address in bootstrap.split(","):
        host, _, port = address.strip().rpartition(":")
        if not port.isdecimal():
            return "KAFKA_BOOTSTRAP_SERVERS is not host:port[,host:port…]"
        if (found := await _why_not(host.strip("[]"), int(port), kafka)) is not None:
            return f"{address.strip()} {found}"
    return None


async def _why_not(host: str, port: int, kafka: KafkaSettings) -> str | None:
    options = kafka.client_options()
    context = options.get("ssl_context")
    try:
        async with asyncio.timeout(_STEP_S):
            await _greeted(host, port, None)
    except socket.gaierror:
        return "has a name that cannot be looked up: see KAFKA_BOOTSTRAP_SERVERS"
    except TimeoutError:
        return "does not answer: is it the right address (KAFKA_BOOTSTRAP_SERVERS), and does a firewall stand between?"
    except OSError as error:
        return f"cannot be connected to ({error.strerror or type(error).__name__}). Is it running there?"
    if context is not None and (found := await _tls(host, port, context)) is not None:
        return found
    return await _kafka(host, port, kafka, options)


async def _greeted(host: str, port: int, context: ssl.SSLContext | None) -> None:
    """Connect and, with TLS, wait a moment for what the other side may have against us."""
    reader, writer = await asyncio.open_connection(host, port, ssl=context)
    try:
        if context is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_ALERT_S):
                    if not await reader.read(1):
                        raise ConnectionResetError
    finally:
        # Nothing is under way that a farewell would save, and the other side may never answer one.
        writer.transport.abort()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def _tls(host: str, port: int, context: ssl.SSLContext) -> str | None:
    try:
        async with asyncio.timeout(_STEP_S):
            await _greeted(host, port, context)
    except ssl.SSLCertVerificationError as error:
        return (
            f"shows a certificate that is not trusted ({error.verify_message}): KAFKA_SSL_CAFILE has to hold the CA "
            "that signed it, and the certificate the name that is connected to"
        )
    except ssl.SSLError as error:
        reason = (error.reason or "").upper()
        if "CERTIFICATE" in reason or "UNKNOWN_CA" in reason:
            return (
                f"turns our certificate down ({reason}): it wants one that its own CA has signed, as "
                "KAFKA_SSL_CERTFILE and KAFKA_SSL_KEYFILE"
            )
        return f"does not speak TLS there ({reason}): KAFKA_SECURITY_PROTOCOL and the port do not go together"
    except (OSError, TimeoutError):
        return "does not speak TLS there: KAFKA_SECURITY_PROTOCOL and the port do not go together"
    return None


async def _kafka(host: str, port: int, kafka: KafkaSettings, options: dict[str, Any]) -> str | None:
    connection = AIOKafkaConnection(host, port, request_timeout_ms=int(1000 * _STEP_S), **options)
    try:
        with _quiet():
            await connection.connect()
    except SaslAuthenticationFailed:
        return (
            f"does not let in the user of KAFKA_SASL_USERNAME with this password ({kafka.sasl_mechanism}): see "
            "KAFKA_SASL_PASSWORD or KAFKA_SASL_PASSWORD_FILE"
        )
    except UnsupportedSaslMechanismError:
        return f"does not take KAFKA_SASL_MECHANISM={kafka.sasl_mechanism}"
    except (KafkaError, OSError, TimeoutError):
        return (
            f"does not speak Kafka to us: does the port want another KAFKA_SECURITY_PROTOCOL than "
            f"{kafka.security_protocol}?"
        )
    finally:
        # Both sides of TLS take leave: a loop that ends before the other has answered leaves its socket open.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_STEP_S):
                await connection.close()
    return None


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the client's own log lines, which say who we are."""
    log = logging.getLogger("aiokafka.conn")
    before, log.disabled = log.disabled, True
    try:
        yield
    finally:
        log.disabled = before
