"""`upwell erase`: forget a shopper."""

import asyncio
import time

import click
import msgspec

from streams import erasure
from streams.cli.shop import Shop
from streams.cli.waiting import waiting
from streams.edge import limits_of
from streams.engine.publisher import Publisher
from streams.erasure import Receipt
from streams.errors import UpwellError

_LOOK_AGAIN_S = 0.5


class UnconfirmedError(UpwellError):
    """The request is on the log, but no worker has carried it out yet."""


@click.command()
@click.argument("user")
@click.option(
    "--wait", type=click.FloatRange(min=0), default=30.0, show_default=True, metavar="SECONDS",
    help="Wait so long for the workers to carry it out; 0: do not wait.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print the receipt as one JSON object.")
def erase(user: str, wait: float, as_json: bool) -> None:
    """Forget a shopper, for good: neither late events nor a replay bring them back.

    USER is the key of the events: `user`, else `anonymous_id`. The request takes its turn in the log behind all that
    the shopper did. Workers then enter a keyed hash in the ledger and delete the profile. What the shopper does later
    makes a new profile.

    \b
    Examples:
      upwell erase u-1842
      upwell erase u-1842 --wait 0 --json > receipt.json
    """
    shop = Shop.from_environment()
    user = shop.shopper(user)
    with waiting("waiting for the workers"):
        receipt, done = asyncio.run(_erase(shop, user, wait))
    if as_json:
        click.echo(msgspec.json.encode(receipt))
    else:
        click.echo(f"Asked to forget {user}: {', '.join(f'{at} @ {o}' for at, o in receipt.requested.items())}")
        for fate in receipt.fates:
            click.echo(f"  {fate.place}: {fate.fate}")
        click.echo(f"The shopper in the ledger: {receipt.ledger_key}")
    if wait and not done:
        raise UnconfirmedError(
            f"the request is on the log and will be carried out, but no worker has done so within {wait:g} seconds: "
            "is one with the role `profiles` running?"
        )
    if done and not as_json:
        click.echo("The workers have carried it out.")


async def _erase(shop: Shop, user: str, wait: float) -> tuple[Receipt, bool]:
    """The receipt, and whether the workers have carried it out."""
    async with shop.reader() as consumer:
        publisher = Publisher({"bootstrap_servers": shop.bootstrap.split(","), **shop.kafka.client_options()})
        try:
            receipt = await erasure.erase(publisher, shop.topics, limits_of(shop.settings).ledger, user)
        finally:
            await publisher.stop()
        deadline = time.monotonic() + wait
        while time.monotonic() < deadline:
            if await erasure.confirmed(consumer, shop.topics, receipt):
                return receipt, True
            await asyncio.sleep(_LOOK_AGAIN_S)
        return receipt, False
