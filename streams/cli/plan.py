"""`upwell plan`: how many cores, how much memory, how large topics a shop needs."""

import json
from dataclasses import asdict

import click
from rich.console import Console
from rich.table import Column, Table

from streams.capacity import MIB, Plan, Workload
from streams.capacity import plan as planned
from streams.costs import MEASURED


@click.command()
@click.option(
    "--events-per-second",
    type=click.FloatRange(0, min_open=True),
    required=True,
    help="In the busiest hour of the day.",
)
@click.option("--users", type=click.IntRange(1), required=True, help="With a profile, ever.")
@click.option("--items", type=click.IntRange(1), required=True, help="In the catalogue.")
@click.option(
    "--answers-per-event",
    type=click.FloatRange(0, 1),
    default=1.0,
    show_default=True,
    help="Recommendations that an event brings. Events of a shopper that come together, as lines of a basket do, are "
    "answered together.",
)
@click.option(
    "--changes-per-second", type=click.FloatRange(0), default=None, help="Catalogue records. [default: each item daily]"
)
@click.option(
    "--requests-per-second", type=click.FloatRange(0), default=0.0, show_default=True, help="To `upwell serve`."
)
@click.option("--history", type=click.IntRange(1), default=100, show_default=True, help="Events of a user, ever.")
@click.option(
    "--mean-share",
    type=click.FloatRange(0, 1, min_open=True),
    default=0.4,
    show_default=True,
    help="Mean rate against that of the busiest hour.",
)
@click.option(
    "--event-days", type=click.FloatRange(0), default=365.0, show_default=True, help="Events are kept so long."
)
@click.option("--replication", type=click.IntRange(1, 9), default=3, show_default=True, help="Copies of the topics.")
@click.option("--dim", type=click.IntRange(1, 4096), default=384, show_default=True, help="Length of items' vectors.")
@click.option("--size", type=click.IntRange(1, 200), default=20, show_default=True, help="Items of a recommendation.")
@click.option(
    "--utilisation",
    type=click.FloatRange(0, 1, min_open=True),
    default=0.6,
    show_default=True,
    help="Share of a core to plan for; the rest is for peaks, recovery, and a worker that is gone.",
)
@click.option(
    "--speed",
    type=click.FloatRange(0, min_open=True),
    default=1.0,
    show_default=True,
    help="How many times as fast as the measured one a core of yours is.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def plan(speed: float, as_json: bool, **told: float) -> None:
    """Say what a shop needs: processes with their cores, memory and disk, and topics with their partitions and sizes.

    Costs were measured on one machine; docs/scaling.md says how, and how far off the model is. Measure yours with
    `python -m benchmarks.capacity` from a checkout.

    \b
    Examples:
      upwell plan --events-per-second 200 --users 100000 --items 20000
      upwell plan --events-per-second 2000 --answers-per-event 0.3 --users 2000000 --items 50000
      upwell plan --events-per-second 50 --users 10000 --items 5000 --requests-per-second 20 --json
    """
    found = planned(Workload(**told), MEASURED.on(speed))  # type: ignore[arg-type]
    if as_json:
        totals = {"cores": found.cores, "memory": found.memory, "disk": found.disk, "stored": found.stored}
        click.echo(json.dumps(asdict(found) | {"totals": totals}))
    else:
        _show(found)


def _show(found: Plan) -> None:
    console = Console()
    roles = Table(
        Column("role", no_wrap=True),
        "processes",
        "cores, busy",
        "memory each",
        "disk each",
        title="Processes",
        title_justify="left",
    )
    for role in found.roles:
        cells = f"{role.processes}", f"{role.busy_cores:.2f}", _size(role.memory), _size(role.disk)
        roles.add_row(role.role, *cells)
    roles.add_row("together", f"{found.cores}", "", _size(found.memory), _size(found.disk), style="bold")
    console.print(roles)
    kept = Table(
        Column("topic", no_wrap=True),
        "partitions",
        "on disk, all copies",
        "written at the peak",
        title="Topics",
        title_justify="left",
    )
    for topic in found.topics:
        kept.add_row(topic.name, str(topic.partitions), _size(topic.bytes), f"{_size(topic.written)}/s")
    written = sum(topic.written for topic in found.topics)
    kept.add_row("together", "", _size(found.stored), f"{_size(written)}/s", style="bold")
    console.print(kept)
    console.print(f"UPWELL_PARTITIONS={found.partitions}. A process is one core; its memory has room for a rebuild.")
    for note in found.notes:
        console.print(f"Note: {note}.")


def _size(count: float) -> str:
    for unit, size in (("TiB", MIB**2), ("GiB", 1024 * MIB), ("MiB", MIB)):
        if count >= size:
            return f"{count / size:,.1f} {unit}"
    return f"{count / 1024:,.1f} KiB"
