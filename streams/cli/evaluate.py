"""`upwell evaluate`: what a policy is worth on a recorded log."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypedDict, Unpack

import click
import msgspec
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from encoders.models import HASHING
from streams import policies, settings
from streams.agents.ranker import learning_of
from streams.cli.replay import PlaceParam, TimeParam
from streams.cli.shop import Shop
from streams.core.events import EventType
from streams.edge import limits_of
from streams.errors import DataError
from streams.evaluation import explored, page, recorded, report, study, users
from streams.evaluation import log as logs
from streams.evaluation.baselines import NAMES, QUICK
from streams.evaluation.explored import Exploration
from streams.evaluation.judge import SLICES
from streams.evaluation.log import Log
from streams.evaluation.questions import Reading, Targets
from streams.evaluation.study import TOPICS, Findings, Study
from streams.history import Place
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
    since: int | None
    topics: bool
    until: Place | None
    limit: int | None
    part: str
    model: str
    as_json: bool
    html: Path | None
    users: Path | None


@click.command()
@click.argument("paths", metavar="LOG...", nargs=-1)
@click.option("--topics", is_flag=True, help="Read the shop's topics instead of files.")
@click.option(
    "--until",
    type=PlaceParam(),
    help="With --topics: end before this offset of each partition of the events, or before this time of Kafka's.",
)
@click.option("--policy", default="default", show_default=True, help="Name of a policy, or its .toml or .json file.")
@click.option("--against", multiple=True, help="Another policy to hold it against (may be repeated).")
@click.option(
    "--baselines", default=",".join(QUICK), show_default=True, help="Comma-separated; empty for none. Also: ease."
)
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
    "--since",
    type=TimeParam(),
    help="Predict only what happened then or later, by the events' own time; --from holds beside it.",
)
@click.option(
    "--limit", type=click.IntRange(min=1), help="Predict so many sets, drawn at random (the same every time)."
)
@click.option(
    "--slice", "part", type=click.Choice(list(SLICES)), default="returning", show_default=True, help="To show."
)
@click.option("--model", default=HASHING, show_default=True, help="Encoder of the catalogue.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as one JSON object.")
@click.option(
    "--html", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE.html",
    help="Write a page with tables and plots, too.",
)  # fmt: skip
@click.option(
    "--users", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE.jsonl",
    help="Write NDCG@20 of every user, too.",
)  # fmt: skip
def evaluate(paths: Sequence[str], **options: Unpack[Options]) -> None:
    """Replay a log of events and catalogue items, and tell how well a policy foresaw it.

    LOG is one or more JSON Lines files, as `upwell produce` takes them; with --topics it is what the shop's topics
    hold. What a user did at one time is one set. Every set is predicted from the state before it, and the whole
    catalogue is ranked; then it is learnt from.

    \b
    Examples:
      upwell evaluate catalogue.jsonl events.jsonl
      upwell evaluate --targets first-time --limit 2000 catalogue.jsonl events.jsonl
      upwell evaluate --policy mine.toml --against default --json catalogue.jsonl events.jsonl
      upwell evaluate --topics --from 0 --since 2026-01-05 --html evaluation.html
    """
    if bool(paths) == options["topics"]:
        raise click.UsageError("name the files of the log, or say --topics: one of the two")
    if options["until"] and not options["topics"]:
        raise click.UsageError("--until is for --topics: a file ends where it ends")
    for path in (options["html"], options["users"]):
        if path is not None and not path.parent.is_dir():  # told now, not when all is done
            raise DataError(f"cannot write {path}: there is no directory {path.parent}")
    configured, _ = settings.load()
    wanted = Study(
        [policies.load(name) for name in (options["policy"], *options["against"])],
        _names(options["baselines"]),
        Reading(
            Targets(options["targets"]),
            frozenset(EventType(name) for name in options["types"]) or None,
            options["start"],
            options["since"] or 0,
            options["limit"],
        ),
        learning_of(configured),
    )
    encoder = load_item_encoder(configured, options["model"])
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    exploration = None
    if options["topics"]:
        log, exploration = asyncio.run(_recorded(Shop.from_environment(), options["until"] or Place()))
    else:
        log = asyncio.run(_read(paths, configured, console))
    findings = asyncio.run(_run(log, wanted, configured, encoder, console))
    about = _about(log, wanted, findings, encoder) | ({"exploration": exploration.as_json()} if exploration else {})
    notes = [*findings.notes, *([exploration.in_words()] if exploration else [])]
    _tell(findings, about, notes, options)
    if not options["as_json"]:
        for note in notes:
            console.print(note, markup=False)
    if log.bad:
        lines = "1 bad line, listed above, was" if log.bad == 1 else f"{log.bad:,} bad lines, listed above, were"
        raise DataError(f"{lines} left out")


def _tell(findings: Findings, about: dict[str, Any], notes: Sequence[str], options: Options) -> None:
    trial, verdict = findings.trial, findings.verdict
    if options["html"] or options["users"]:
        everyone = users.by_user(trial, findings.places)
        if options["html"]:
            _write(options["html"], page.page(trial, verdict, about, options["part"], everyone, notes).encode())
        if options["users"]:
            _write(options["users"], b"".join(msgspec.json.encode(user.as_json()) + b"\n" for user in everyone))
    if options["as_json"]:
        click.echo(msgspec.json.encode(report.as_json(trial, verdict, about)))
    else:
        Console(highlight=False).print(report.tables(trial, verdict, options["part"]))


def _write(path: Path, content: bytes) -> None:
    try:
        path.write_bytes(content)
    except OSError as error:
        raise DataError(f"cannot write {path}: {error.strerror}") from None


def _names(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    if unknown := [name for name in names if name not in NAMES]:
        raise click.BadParameter(f"no baseline {unknown[0]!r}; there are {', '.join(NAMES)}", param_hint="--baselines")
    return list(dict.fromkeys(names))


async def _recorded(shop: Shop, until: Place) -> tuple[Log, Exploration]:
    names = TOPICS.catalogue.name, TOPICS.events.name
    async with shop.reader() as consumer:
        log = await recorded.read(consumer, shop.topics, until, limits_of(shop.settings), names)
        sent = recorded.before(await recorded.recommendations(consumer, shop.topics), until)
        return log, explored.judge(sent, log)


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
            "items": len(findings.places),
            "bad_lines": log.bad,
        },
        "reading": {
            "targets": reading.targets.value,
            "types": sorted(reading.types) if reading.types else None,
            "from": reading.start,
            "since": reading.since or None,
            "limit": reading.limit,
        },
        "model": encoder.id,
        "policies": [policies.as_json(policy) for policy in wanted.policies],
        "notes": findings.notes,
    }
