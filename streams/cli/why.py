"""`upwell why`: why an item is recommended to a shopper, or where it was dropped."""

import asyncio
import json
import math

import click

from index.exact import ExactIndex
from streams import changelogs, codecs, policies, portrait
from streams import why as tracing
from streams.cli.shop import Shop
from streams.cli.waiting import waiting
from streams.clock import now_ms
from streams.core.profile import Profile
from streams.edge import limits_of
from streams.errors import UpwellError
from streams.recommender import Shopper
from streams.replicas import Immediate, Replica
from streams.replication import Replication
from streams.shelves import ReplicaIndex
from streams.why import End, Trace


class PremiseError(UpwellError):
    """It is the other way round than the question supposes."""


@click.command()
@click.argument("user")
@click.argument("item")
@click.option("--not", "negated", is_flag=True, help="Why it is not there; exit code 1 if it is.")
@click.option("--json", "as_json", is_flag=True, help="Print the trace as one JSON object.")
def why(user: str, item: str, negated: bool, as_json: bool) -> None:
    """Say why an item is in a shopper's recommendations now, or where on the way it was dropped.

    The recommender itself is traced: over the topics as they are now, with the policy of the settings. Nearest items
    are searched exactly. For a known shopper it is the moment of their last event; one who is not known gets what
    somebody new would get now.

    \b
    Examples:
      upwell why u-1842 hammer-16oz
      upwell why u-1842 nails-100 --not
      UPWELL_POLICY_FILE=bold.toml upwell why u-1842 nails-100 --json
    """
    shop = Shop.from_environment()
    with waiting("reading the shop"):
        trace = asyncio.run(_trace(shop, shop.shopper(user), item))
    click.echo(json.dumps(trace.as_json(), ensure_ascii=False) if as_json else _in_words(trace, item))
    if negated and trace.end is End.LISTED:
        raise PremiseError(f"{item} is in the list: ask without --not")
    if not negated and trace.end is not End.LISTED:
        raise PremiseError(f"{item} is not in the list: see above, or ask with --not")


async def _trace(shop: Shop, user: str, item: str) -> Trace:
    settings, contract = shop.settings, shop.topics
    async with shop.reader() as consumer:
        rows = await changelogs.rows_of(consumer, contract.profiles, codecs.profile_keys(user).__contains__)
    profile = max(codecs.wholes(rows, user).values(), key=portrait.as_of, default=Profile())
    replica = Replica(contract, _exact, limits_of(settings))
    replication = Replication(replica, contract, shop.bootstrap, shop.kafka, settings.fetch_wait_ms)
    try:
        await replication.load()
    finally:
        await replication.stop()
    now = portrait.as_of(profile) or now_ms()
    return await tracing.why(Shopper(profile, now, user=user), item, replica, policies.of(settings))


async def _exact(dim: int) -> ReplicaIndex:
    return Immediate(ExactIndex(dim))


def _in_words(trace: Trace, item: str) -> str:
    lines = [f"{click.style(item, bold=True)}: {trace.words}"]
    lines += [f"  {channel.value} brings it, number {rank} there" for channel, rank in trace.channels.items()]
    if trace.faded < 1.0:
        lines.append(f"  shown {trace.shown:.1f} times and not taken up: {trace.faded:.2g} of its score is left")
    if not math.isclose(trace.boost, 1.0):
        lines.append(f"  rules multiply its score by {trace.boost:.3g}")
    if trace.rank is not None:
        lines.append(f"  number {trace.rank} of {trace.candidates} candidates by score ({trace.score:g})")
    if trace.entry:
        lines += [f"  {reason.share:.0%} {reason.text}" for reason in trace.entry.reasons]
    return "\n".join(lines)
