"""`upwell dlq`: look at refused records, and send them back."""

import asyncio
import json
from collections import Counter, deque
from collections.abc import Callable, Sequence

import click
from rich.console import Console
from rich.progress import Progress
from rich.table import Column, Table
from rich.text import Text

from streams import admin, redriver, views
from streams.cli.shop import Shop
from streams.cli.waiting import waiting
from streams.engine.effects import Record, RejectReason
from streams.errors import DataError
from streams.redrive import Fate
from streams.redriver import Decided, Letter, Selection

_FATES = {
    Fate.SEND: ("sent back", "would be sent back"),
    Fate.REDRIVEN: ("sent back before", "sent back before"),
    Fate.SUPERSEDED: ("left alone: the catalogue has a newer record", "superseded by a newer record of the catalogue"),
    Fate.FOREIGN: ("left alone: of no record in this shop's topics", "of no record in this shop's topics"),
    Fate.FORGOTTEN: ("left alone: the log does not go back to it", "older than the log: nobody knows if it went back"),
    Fate.LEFT_OUT: ("left alone: too large to be kept, send it anew", "too large to be kept, to be sent anew"),
}
"""In words: after it was done, and before."""

_SHOWN: dict[tuple[bool, bool], Callable[[Record], str | bytes]] = {
    (False, False): views.dead_letter_outlined,
    (False, True): views.dead_letter_outlined_as_json,
    (True, False): views.dead_letter_in_full,
    (True, True): views.dead_letter_as_json,
}
"""By whether it is shown raw and as JSON."""


@click.group()
def dlq() -> None:
    """Look at refused records, and send them back once what refused them is mended.

    \b
    Examples:
      upwell dlq list
      upwell dlq show 0/17
      upwell dlq redrive --reason handler-error --dry-run
      upwell dlq redrive --reason handler-error
    """


@dlq.command("list")
@click.option("-n", "count", type=click.IntRange(min=0), default=10, show_default=True, help="How many of the newest.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def list_(count: int, as_json: bool) -> None:
    """Count refused records by topic and reason, and list the newest.

    \b
    Examples:
      upwell dlq list
      upwell dlq list -n 50
      upwell dlq list --json | jq .total
    """
    shop = Shop.from_environment()
    with waiting("reading refused records"):
        counts, newest = asyncio.run(_listed(shop, count))
    if as_json:
        click.echo(json.dumps(_list_as_json(counts, newest), ensure_ascii=False))
    elif not counts:
        click.echo(f"No record was refused: {shop.topics.dlq.name} is empty.")
    else:
        _show_list(counts, newest)


@dlq.command()
@click.argument("where", metavar="PARTITION/OFFSET")
@click.option("--raw", is_flag=True, help="Headers, key and value, byte for byte: they may tell of people.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def show(where: str, raw: bool, as_json: bool) -> None:
    """Show one refused record: why, where from, and an outline of what it was; with --raw all of it.

    \b
    Examples:
      upwell dlq show 0/17
      upwell dlq show 0/17 --raw
      upwell dlq show 0/17 --raw --json | jq -r .value
    """
    partition, offset = _place(where)
    shop = Shop.from_environment()
    letter = asyncio.run(_one(shop, partition, offset))
    if letter is None:
        raise DataError(f"{shop.topics.dlq.name} has no record at {where}; `upwell dlq list` shows what there is")
    click.echo(_SHOWN[raw, as_json](letter.record))


@dlq.command()
@click.option(
    "--reason", "reasons", multiple=True, type=click.Choice([r.value for r in RejectReason]),
    help="Those refused for this reason; may be given several times.",
)  # fmt: skip
@click.option("--all", "everything", is_flag=True, help="Whatever the reason.")
@click.option("--from", "begin", type=click.IntRange(min=0), metavar="OFFSET", help="Those from this offset on.")
@click.option("--until", "end", type=click.IntRange(min=0), metavar="OFFSET", help="Those before this offset.")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def redrive(
    reasons: Sequence[str], everything: bool, begin: int | None, end: int | None, dry_run: bool, as_json: bool
) -> None:
    """Send refused records back to where they came from: same bytes, key, headers and partition.

    Each goes back once, however often this is run and by however many people: a record that went back is found in
    its topic by its header `upwell.redriven`. A second run at the same time takes over from the first. One that is
    refused again is a new refused record, which still says where it came from first. Offsets are those of the
    dead-letter topic. Needs the right to write under the transactional id SHOP.upwell.redrive.

    \b
    Examples:
      upwell dlq redrive --reason handler-error --dry-run
      upwell dlq redrive --reason handler-error --reason oversize
      upwell dlq redrive --from 17 --until 18
      upwell dlq redrive --all
    """
    if not (reasons or everything or begin is not None or end is not None):
        raise click.UsageError("say which: --reason, --from, --until, or --all")
    if reasons and everything:
        raise click.UsageError("--all is every reason: leave --reason out")
    shop = Shop.from_environment()
    selection = Selection(set(reasons) or None, begin, end)
    decided = asyncio.run(_decided(shop, selection) if dry_run else _sent_back(shop, selection))
    _show_decided(decided, dry_run=dry_run, as_json=as_json)


async def _listed(shop: Shop, count: int) -> tuple[Counter[tuple[str, str]], list[Letter]]:
    counts: Counter[tuple[str, str]] = Counter()
    newest: deque[Letter] = deque(maxlen=count)
    async with shop.reader() as consumer:
        async for letter in redriver.letters(consumer, shop.topics):
            counts[_topic_and_reason(letter)] += 1
            newest.append(letter)
    return counts, list(reversed(newest))


async def _one(shop: Shop, partition: int, offset: int) -> Letter | None:
    async with shop.reader() as consumer:
        return await redriver.letter_at(consumer, shop.topics, partition, offset)


async def _decided(shop: Shop, selection: Selection) -> list[Decided]:
    async with shop.reader() as consumer:
        return await redriver.decide(consumer, shop.topics, selection)


async def _sent_back(shop: Shop, selection: Selection) -> list[Decided]:
    await admin.require_topics(shop.bootstrap, shop.kafka, shop.topics)
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bars:
        bar = bars.add_task("sending back", total=None)

        def progress(done: int, total: int) -> None:
            bars.update(bar, completed=done, total=total)

        group = redriver.transactional_id(shop.settings.shop)
        return await redriver.send_back(shop.bootstrap, shop.kafka, shop.topics, group, selection, progress)


def _topic_and_reason(letter: Letter) -> tuple[str, str]:
    return (letter.about.topic, letter.about.reason) if letter.about else ("?", "no dead letter of Upwell's")


def _detail(letter: Letter) -> str:
    return views.plain_detail(letter.about.reason, letter.about.detail) if letter.about else ""


def _list_as_json(counts: Counter[tuple[str, str]], newest: Sequence[Letter]) -> dict[str, object]:
    return {
        "total": counts.total(),
        "counts": [{"topic": t, "reason": r, "count": count} for (t, r), count in counts.most_common()],
        "newest": [
            {
                "partition": letter.record.partition,
                "offset": letter.record.offset,
                "timestamp": letter.record.timestamp,
                "reason": _topic_and_reason(letter)[1],
                "detail": _detail(letter),
                "from": f"{letter.about.topic}/{letter.about.partition}@{letter.about.offset}"
                if letter.about
                else None,
            }
            for letter in newest
        ],
    }


def _show_list(counts: Counter[tuple[str, str]], newest: Sequence[Letter]) -> None:
    console = Console(highlight=False)
    summary = Table("topic", "reason", Column("records", justify="right"), title=f"{counts.total():,} refused records")
    for (topic, reason), count in counts.most_common():
        summary.add_row(topic, reason, f"{count:,}")
    console.print(summary)
    if newest:
        table = Table("at", "when", "reason", "detail", title="The newest")
        for letter in newest:
            where = f"{letter.record.partition}/{letter.record.offset}"
            moment = views.moment(letter.record.timestamp)
            table.add_row(where, moment, _topic_and_reason(letter)[1], Text(_detail(letter)))
        console.print(table)


def _show_decided(decided: Sequence[Decided], *, dry_run: bool, as_json: bool) -> None:
    counts = Counter(one.fate for one in decided)
    if as_json:
        click.echo(json.dumps({"dry_run": dry_run, "selected": len(decided)} | {fate: counts[fate] for fate in Fate}))
        return
    if not decided:
        click.echo("No refused record is like that.")
    for fate, (done, planned) in _FATES.items():
        if counts[fate]:
            click.echo(f"{counts[fate]:,} {planned if dry_run else done}")


def _place(where: str) -> tuple[int, int]:
    partition, _, offset = where.partition("/")
    if not (partition.isdecimal() and offset.isdecimal()):
        raise click.UsageError(f"{where!r} is no PARTITION/OFFSET, as in 0/17")
    return int(partition), int(offset)
