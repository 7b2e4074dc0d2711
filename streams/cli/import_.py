"""`upwell import`: events and catalogues that other systems wrote."""

import asyncio
import contextlib
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeRemainingColumn

from streams import settings
from streams.cli.shop import Shop
from streams.clock import now_ms
from streams.edge import limits_of
from streams.engine.effects import Output
from streams.engine.publisher import Publisher, PublishError, TooLargeError
from streams.errors import BrokerError, DataError
from streams.importers import known, mapping, rows
from streams.importers.convert import Converter, Reject
from streams.importers.formats import Format, preparer, shape_of
from streams.importers.mapping import Plan
from streams.importers.run import Counts, Import
from streams.jsonl import Kind, Outgoing

_SHOWN = 10
"""Rejects that are shown; the file has all of them."""


@dataclass(frozen=True, slots=True)
class Asked:
    """The files and the options."""

    form: Format
    paths: Sequence[Path]
    plan: Plan
    delimiter: str
    rejects: Path
    dry_run: bool
    as_json: bool


@click.command("import")
@click.argument("form", metavar="FORMAT", type=click.Choice([form.value for form in Format]))
@click.argument("paths", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--as",
    "kind",
    required=True,
    type=click.Choice([kind.value for kind in mapping.ALIASES]),
    help="What the rows are.",
)
@click.option("--map", "columns", multiple=True, metavar="FIELD=COLUMN", help="Take a field from this column.")
@click.option("--set", "constants", multiple=True, metavar="FIELD=VALUE", help="The same value for every row.")
@click.option(
    "--type", "types", multiple=True, metavar="NAME=TYPE", help="What an event type of the file is; - leaves it out."
)
@click.option(
    "--time-format", metavar="FORMAT",
    help="s, ms, us, ns, or a pattern such as %d.%m.%Y.  [default: told by the value; without a zone it is UTC]",
)  # fmt: skip
@click.option("--delimiter", default=",", show_default=True, help="Between the cells of a CSV file; \\t is a tab.")
@click.option("--category-separator", help="Between the parts of a category.  [default: > (Gorse: |)]")
@click.option(
    "--rest/--no-rest", default=None,
    help="Take columns that are no field as attributes.  [default: only for catalogues of Gorse and Metarank]",
)  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Check and count everything; needs no broker and sends nothing.")
@click.option(
    "--rejects", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
    help="Where rows with something wrong are listed.  [default: FILE.rejects.jsonl, here]",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print the counts as one JSON object.")
@click.pass_context
def import_(ctx: click.Context, /, **options: Any) -> None:
    """Take events or a catalogue from Gorse, Metarank, CSV, JSON Lines or Parquet files.

    Columns are taken by their names (user_id is user, timestamp is time, …; capitals, _ and - do not matter) unless
    --map says otherwise; a.b reaches into nested values, attributes.NAME names an attribute. Files may be packed (.gz).

    What the topic has already is passed over, so an import that was interrupted goes on where it stopped, and importing
    twice applies once. An event without an id gets one that is a function of what it says: rows that say the same are
    one event. Rows with something wrong are listed in the rejects file with line, field and reason, the others are
    sent, and the exit code is 5.

    \b
    Examples:
      upwell import csv ratings.csv --as events --map user=userId --set type=rating --map value=rating --dry-run
      upwell import jsonl clicks.jsonl.gz --as events --type addtocart=cart --type heartbeat=-
      upwell import gorse items.csv --as catalogue
      upwell import gorse feedback.csv --as events --type share=favourite
      upwell import metarank events.jsonl --as catalogue
      upwell import parquet products.parquet --as catalogue --map title=name --rest
    """
    asked = _asked(options)
    counts = Counts()
    started = time.monotonic()
    configured, _ = settings.load()
    with _Rejects(asked.rejects) as rejects:
        converter = Converter(asked.plan, preparer(asked.form, asked.plan.kind), limits_of(configured))
        try:
            asyncio.run(_import(asked, Import(converter, _nowhere, rejects.add, counts=counts)))
        except KeyboardInterrupt:
            click.echo(f"Interrupted. {_words(counts, asked)} Run it again to go on.", err=True)
            ctx.exit(130)
    if asked.as_json:
        about = counts.as_dict() | {"dry_run": asked.dry_run, "seconds": round(time.monotonic() - started, 3)}
        click.echo(json.dumps(about))
    else:
        click.echo(_words(counts, asked))
    wrong = [f"{counts.rejected:,} rows have something wrong: see {asked.rejects}"] if counts.rejected else []
    if counts.rows and converter.unseen:
        wrong.append(f"no row has {', '.join(sorted(converter.unseen))}, named by --map")
    if wrong:
        raise DataError("; ".join(wrong))


def _asked(options: Mapping[str, Any]) -> Asked:
    form, kind, paths = Format(options["form"]), Kind(options["kind"]), options["paths"]
    foreign_items = form in (Format.GORSE, Format.METARANK) and kind is Kind.CATALOGUE
    plan = Plan(
        kind,
        mapping.pairs(options["columns"], "--map"),
        mapping.pairs(options["constants"], "--set"),
        mapping.pairs(options["types"], "--type"),
        options["time_format"],
        options["category_separator"] or ("|" if form is Format.GORSE else ">"),
        foreign_items if options["rest"] is None else options["rest"],
    )
    delimiter = "\t" if options["delimiter"] == "\\t" else options["delimiter"]
    if len(delimiter) != 1:
        raise click.UsageError(f"--delimiter {delimiter!r}: wanted one character")
    rejects = options["rejects"] or Path(f"{paths[0].name}.rejects.jsonl")
    return Asked(form, paths, plan, delimiter, rejects, options["dry_run"], options["as_json"])


async def _nowhere(_: list[Outgoing]) -> None:
    """Where the records of a dry run go."""


async def _import(asked: Asked, work: Import) -> None:
    sizes = [rows.size(path, shape_of(asked.form, path)) for path in asked.paths]
    with _bars() as bars:
        if asked.dry_run:
            await work.run(_rows(asked, sizes, bars), now_ms)
            return
        shop = Shop.from_environment()
        await _look(shop, asked, work, bars)
        options = {"bootstrap_servers": shop.bootstrap.split(","), **shop.kafka.client_options()}
        publisher = Publisher(options, shop.settings.partitioner)
        work.send = _Sender(shop, publisher).send
        try:
            await work.run(_rows(asked, sizes, bars), now_ms)
        except TooLargeError as error:
            raise DataError(f"{error}. {_words(work.counts, asked)}") from error
        except PublishError as error:
            raise BrokerError(f"{error}. {_words(work.counts, asked)} Run it again to go on.") from error
        finally:
            await publisher.stop()


async def _look(shop: Shop, asked: Asked, work: Import, bars: Progress) -> None:
    """Find out what the topic has already."""
    bar = bars.add_task("what is there already", total=None)

    def tell(done: int, total: int) -> None:
        bars.update(bar, completed=done, total=total)

    formats = work.converter.limits.formats
    async with shop.reader() as consumer:
        if asked.plan.kind is Kind.EVENTS:
            work.events = await known.events(consumer, shop.topics.events, formats, tell)
        else:
            work.items = await known.items(consumer, shop.topics.catalogue, formats, tell)
    bars.remove_task(bar)


@dataclass(frozen=True, slots=True)
class _Sender:
    shop: Shop
    publisher: Publisher

    async def send(self, records: list[Outgoing]) -> None:
        """See `streams.importers.run.Send`."""
        topics = self.shop.topics
        addresses = {Kind.EVENTS: topics.events, Kind.CATALOGUE: topics.catalogue}
        await self.publisher.publish(
            Output(topic.name, record.key, record.value, record.partition)
            for record in records
            for topic in (addresses[record.kind],)
        )


def _rows(asked: Asked, sizes: Sequence[int], bars: Progress) -> Iterator[rows.Row]:
    for path, size in zip(asked.paths, sizes, strict=True):
        bar = bars.add_task(path.name, total=size)
        shape = shape_of(asked.form, path)
        yield from rows.read(path, shape, asked.delimiter, _teller(bars, bar))


def _teller(bars: Progress, bar: TaskID) -> Callable[[int], None]:
    return lambda done: bars.update(bar, completed=done)


def _bars() -> Progress:
    console = Console(stderr=True)
    columns = TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn()
    return Progress(*columns, console=console, disable=not console.is_terminal, transient=True)


def _words(counts: Counts, asked: Asked) -> str:
    done = "Would send" if asked.dry_run else "Sent"
    return (
        f"{done} {counts.sent:,} {'events' if asked.plan.kind is Kind.EVENTS else 'items'} of {counts.rows:,} rows: "
        f"{counts.present:,} were there already, {counts.repeated:,} came twice, "
        f"{counts.ignored:,} rows were left out, {counts.rejected:,} rejected."
    )


@dataclass(slots=True)
class _Rejects(contextlib.AbstractContextManager["_Rejects"]):
    """Writes rejects to a file, which is made with the first of them, and shows the first few."""

    path: Path
    count: int = 0
    _file: IO[str] | None = field(default=None, repr=False)

    def add(self, reject: Reject) -> None:
        """Take one."""
        self.count += 1
        if self._file is None:
            try:
                self._file = self.path.open("w", encoding="utf-8")
            except OSError as error:
                raise DataError(f"cannot write {self.path}: {error.strerror}") from None
        self._file.write(json.dumps(asdict(reject), ensure_ascii=False) + "\n")
        if self.count <= _SHOWN:
            where = f" {reject.field}:" if reject.field else ""
            click.echo(f"{reject.file}:{reject.line}:{where} {reject.why}", err=True)
        elif self.count == _SHOWN + 1:
            click.echo(f"… more in {self.path}", err=True)

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()
