"""`upwell profile`: what is known of a shopper, now or as of an offset."""

import asyncio
import json
from collections.abc import Mapping

import click

from streams import changelogs, codecs, follow, portrait
from streams.cli.shop import Shop
from streams.cli.waiting import waiting
from streams.core.erasure import Erasure
from streams.core.profile import Profile, fold
from streams.edge import AcceptedEvent, accept_event, erasure_of, limits_of, shopper_of
from streams.errors import UpwellError
from streams.follow import Span
from streams.titles import titles_of


class UnknownShopperError(UpwellError):
    """Nothing is known of the shopper."""


@click.command()
@click.argument("user")
@click.option(
    "--at", type=click.IntRange(min=0), metavar="OFFSET",
    help="As it was after the event at this offset of the shopper's partition, folded from the events.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line, with everything there is.")
def profile(user: str, at: int | None, as_json: bool) -> None:
    """Say what is known of a shopper: recent interactions, habits, what would be searched for and what left out.

    The newest rows of the profiles topic, or, with --at, the fold of the shopper's events up to that offset: a profile
    is a function of them. What has come to a user from anonymous ids by a login is in the rows, not in what --at
    folds. USER is the key of the events: `user`, else `anonymous_id`. Recommendations name the offset that they rest
    on: `trigger.offset`.

    \b
    Examples:
      upwell profile u-1842
      upwell profile u-1842 --at 48211
      upwell profile u-1842 --json | jq .habits
    """
    shop = Shop.from_environment()
    user = shop.shopper(user)
    with waiting("reading"):
        found, titles = asyncio.run(_found(shop, user, at))
    if not found:
        raise UnknownShopperError(
            "there is no event of this shopper up to that offset"
            if at is not None
            else f"{shop.topics.profiles.name} has no row of this shopper; has a worker seen an event of theirs?"
        )
    half_lives = limits_of(shop.settings).half_lives
    for partition, known in found.items():
        if as_json:
            row = {"user": user, "partition": partition} | portrait.as_json(known, titles, half_lives)
            click.echo(json.dumps(row, ensure_ascii=False))
        else:
            click.echo(f"{click.style(user, bold=True)} · {shop.topics.events.name}/{partition} @ {known.offset}")
            click.echo(portrait.in_words(known, titles, half_lives))
    if len(found) > 1 and not as_json:
        click.echo(
            "Note: this shopper's events are on several partitions: their producers disagree on the partitioner."
        )


async def _found(shop: Shop, user: str, at: int | None) -> tuple[dict[int, Profile], Mapping[str, str]]:
    """The profile by partition (there should be one), and the titles of all items."""
    async with shop.reader() as consumer:
        found: dict[int, Profile] = {}
        if at is None:
            rows = await changelogs.rows_of(consumer, shop.topics.profiles, codecs.profile_keys(user).__contains__)
            found = codecs.wholes(rows, user)
        else:
            limits, events = limits_of(shop.settings), shop.topics.events
            spans = await follow.whole(consumer, events.name, events.partitions)
            spans = {partition: Span(span.begin, min(span.end, at + 1)) for partition, span in spans.items()}
            erased = Erasure()
            async for record in follow.between(consumer, spans):
                if shopper_of(record.key, limits) == user:
                    if asked := erasure_of(record, limits):
                        erased = asked[1]
                        found.pop(record.partition, None)
                        continue
                    await limits.formats.learn_patiently([record])
                    accepted = accept_event(record, limits)
                    if isinstance(accepted, AcceptedEvent) and not accepted.erased_by(erased):
                        before = found.get(record.partition, Profile())
                        found[record.partition] = fold(before, [accepted.arrival], limits.half_lives)
        return found, await titles_of(consumer, shop.topics.catalogue) if found else {}
