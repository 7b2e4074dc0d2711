"""`upwell evaluate`: what a policy is worth on a recorded log."""

import asyncio
from collections.abc import Sequence
from typing import Any, TypedDict, Unpack

import click
import msgspec
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from encoders.models import HASHING
from streams import policies, settings
from streams.core.events import EventType
from streams.edge import limits_of
from streams.errors import DataError
from streams.evaluation import log as logs
from streams.evaluation import report, study
from streams.evaluation.baselines import NAMES
from streams.evaluation.judge import SLICES
from streams.evaluation.log import Log
from streams.evaluation.questions import Reading, Targets
from streams.evaluation.study import TOPICS, Findings, Study
from streams.items import ItemEncoder, load_item_encoder
from streams.settings import Settings


class Options(TypedDict):
    """What was asked for on the command line, LOG apart."""

    policy: str
    against: Sequence[str]
    baselines: str
    targets: str
    types: Sequence[str]
    start: float
    limit: int | None
    part: str
    model: str
    as_json: bool


@click.command()
@click.argument("paths", metavar="LOG...", nargs=-1, required=True)
@click.option("--policy", default="default", show_default=True, help="Name of a policy, or its .toml or .json file.")
@click.option("--against", multiple=True, help="Another policy to hold it against (may be repeated).")
@click.option("--baselines", default=",".join(NAMES), show_default=True, help="Comma-separated; empty for none.")
@click.option(
    "--targets",
    type=click.Choice([t.value for t in Targets]),
    default=Targets.ALL.value,
    show_default=True,
    help="Predict every item of a set, or only those that are new to the user.",
)
@click.option(
    "--types",
    multiple=True,
    type=click.Choice([t.value for t in EventType]),
    help="Predict events of these types only.",
)
@click.option(
    "--from", "start", type=click.FloatRange(0, 1), default=0.5, show_default=True, help="Share to learn first."
)
@click.option(
    "--limit", type=click.IntRange(min=1), help="Predict so many sets, drawn at random (the same every time)."
)
@click.option(
    "--slice", "part", type=click.Choice(list(SLICES)), default="returning", show_default=True, help="To show."
)
@click.option("--model", default=HASHING, show_default=True, help="Encoder of the catalogue.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as one JSON object.")
def evaluate(paths: Sequence[str], **options: Unpack[Options]) -> None:
    """Replay a log of events and catalogue items, and tell how well a policy foresaw it.

    LOG is one or more JSON Lines files, as `upwell produce` takes them. What a user did at one time is one set. Every
    set is predicted from the state before it, and the whole catalogue is ranked; then it is learnt from.

    \b
    Examples:
      upwell evaluate catalogue.jsonl events.jsonl
      upwell evaluate --targets first-time --limit 2000 catalogue.jsonl events.jsonl
      upwell evaluate --policy mine.toml --against default --json catalogue.jsonl events.jsonl
    """
    configured, _ = settings.load()
    wanted = Study(
        [policies.load(name) for name in (options["policy"], *options["against"])],
        _names(options["baselines"]),
        Reading(
            Targets(options["targets"]),
            frozenset(EventType(name) for name in options["types"]) or None,
            options["start"],
            options["limit"],
        ),
    )
    encoder = load_item_encoder(configured, options["model"])
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    log = asyncio.run(_read(paths, configured, console))
    findings = asyncio.run(_run(log, wanted, configured, encoder, console))
    if options["as_json"]:
        about = _about(log, wanted, findings, encoder)
        click.echo(msgspec.json.encode(report.as_json(findings.trial, findings.verdict, about)))
    else:
        Console(highlight=False).print(report.tables(findings.trial, findings.verdict, options["part"]))
    if log.bad:
        raise DataError(f"{log.bad} bad lines, listed above, were left out")


def _names(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    if unknown := [name for name in names if name not in NAMES]:
        raise click.BadParameter(f"no baseline {unknown[0]!r}; there are {', '.join(NAMES)}", param_hint="--baselines")
    return list(dict.fromkeys(names))


async def _read(paths: Sequence[str], configured: Settings, console: Console) -> Log:
    contract = TOPICS.catalogue.name, TOPICS.events.name
    return await logs.read(paths, limits_of(configured), contract, lambda line: console.print(str(line), markup=False))


async def _run(log: Log, wanted: Study, configured: Settings, encoder: ItemEncoder, console: Console) -> Findings:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:,} events"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as progress:
        bar = progress.add_task("replaying", total=len(log.events))
        return await study.evaluate(
            log, wanted, limits_of(configured), encoder, lambda events: progress.update(bar, advance=events)
        )


def _about(log: Log, wanted: Study, findings: Findings, encoder: ItemEncoder) -> dict[str, Any]:
    reading = wanted.reading
    return {
        "log": {
            "events": len(log.events),
            "users": len({event.user for event in log.events}),
            "items": findings.items,
            "bad_lines": log.bad,
        },
        "reading": {
            "targets": reading.targets.value,
            "types": sorted(reading.types) if reading.types else None,
            "from": reading.start,
            "limit": reading.limit,
        },
        "model": encoder.id,
        "policies": [policies.as_json(policy) for policy in wanted.policies],
    }
