"""`upwell broker`: a Kafka broker on this machine that outlives the command."""

import json
from pathlib import Path

import click

from streams import settings
from streams.broker import Broker, BrokerKind, local
from streams.errors import BrokerError
from streams.settings import Settings

DEFAULT_PORT = 9092

_json = click.option("--json", "as_json", is_flag=True, help="One JSON object.")
_data_dir = click.option(
    "--data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where the broker keeps its data.  [default: UPWELL_DATA_DIR]",
)


@click.group()
def broker() -> None:
    """Run a Kafka broker on this machine.

    Apache Kafka where Java 17 and Maven are there (fetched once, 43 MB), else the small noida-db. Other commands
    find it by themselves, as long as KAFKA_BOOTSTRAP_SERVERS is not set.

    \b
    Examples:
      upwell broker start
      upwell broker start --port 0 --data-dir /srv/kafka
      upwell broker status --json
      upwell broker stop
    """


@broker.command()
@click.option("--port", type=click.IntRange(0, 65535), help=f"Port; 0 takes a free one.  [default: {DEFAULT_PORT}]")
@_data_dir
@click.option(
    "--kind",
    type=click.Choice([BrokerKind.APACHE_KAFKA.value, BrokerKind.NOIDA.value]),
    help="Insist on one kind.  [default: the best that this machine runs]",
)
@_json
def start(port: int | None, data_dir: Path | None, kind: str | None, as_json: bool) -> None:
    """Start the broker and wait until it is ready.

    It runs until `upwell broker stop`, listens on 127.0.0.1 only, and keeps its data for the next start.

    \b
    Examples:
      upwell broker start
      upwell broker start --port 0 --data-dir /srv/kafka --json
    """
    configured, kafka = settings.load()
    where = local.Where(
        data_dir=_home(configured, data_dir),
        cache_dir=configured.cache_dir,
        port=DEFAULT_PORT if port is None else port,
        kind=BrokerKind(kind) if kind else None,
    )
    started = local.start(where, tied=False)
    if not started.owned:
        if port and not started.bootstrap.endswith(f":{port}"):
            raise BrokerError(f"{_described(started)} runs here already: stop it first to move it to port {port}")
        if kind and started.kind != kind:
            raise BrokerError(f"{_described(started)} runs here already: stop it first to have {kind}, with other data")
        if not as_json:
            click.echo(f"{_described(started)} runs already.")
    if as_json:
        click.echo(json.dumps(_row(started, True, where.data_dir) | {"started": started.owned}))
    else:
        click.echo(f"KAFKA_BOOTSTRAP_SERVERS={started.bootstrap}")
    if kafka.bootstrap_servers:
        click.echo("Note: KAFKA_BOOTSTRAP_SERVERS is set, so other commands use that cluster instead.", err=True)


@broker.command()
@_data_dir
@_json
def status(data_dir: Path | None, as_json: bool) -> None:
    """Say whether the broker runs and answers; exit code 3 where it does not.

    \b
    Examples:
      upwell broker status
      upwell broker status --json | jq -r .bootstrap
    """
    configured, _ = settings.load()
    home = _home(configured, data_dir)
    found = local.find(home)
    ready = found is not None and local.ready(found)
    if as_json:
        click.echo(json.dumps(_row(found, ready, home)))
    elif found is None:
        click.echo(f"No broker runs under {home}.")
    else:
        click.echo(f"{_described(found)} {'answers' if ready else 'runs, but does not answer'}. Log: {found.log}")
    if not ready:
        raise click.exceptions.Exit(BrokerError.exit_code)


@broker.command()
@_data_dir
@_json
def stop(data_dir: Path | None, as_json: bool) -> None:
    """Stop the broker; its data stays.

    \b
    Examples:
      upwell broker stop
      upwell broker stop --data-dir /srv/kafka --json
    """
    configured, _ = settings.load()
    home = _home(configured, data_dir)
    stopped = local.stop(home)
    if as_json:
        click.echo(json.dumps({"stopped": stopped is not None, "data_dir": str(home)}))
    else:
        click.echo(f"Stopped {_described(stopped)}." if stopped else f"No broker runs under {home}.")


def _home(configured: Settings, data_dir: Path | None) -> Path:
    return data_dir.expanduser().resolve() if data_dir else configured.data_dir


def _described(broker: Broker) -> str:
    pid = broker.process.pid if broker.process else "?"
    return f"{broker.kind.value} on {broker.bootstrap} (pid {pid})"


def _row(broker: Broker | None, ready: bool, home: Path) -> dict[str, object]:
    row: dict[str, object] = {"running": broker is not None, "ready": ready, "data_dir": str(home)}
    if broker is not None:
        row |= {
            "kind": broker.kind.value,
            "bootstrap": broker.bootstrap,
            "pid": broker.process.pid if broker.process else None,
            "log": str(broker.log),
        }
    return row
