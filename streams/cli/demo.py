"""`upwell demo`: real shopping becomes recommendations, on this machine."""

from dataclasses import dataclass
from typing import Any

import click

from streams import settings
from streams.demo import run as demo_run
from streams.demo.dataset import Slice
from streams.demo.display import choose
from streams.demo.feed import Speed
from streams.demo.outcome import Outcome
from streams.demo.run import Plan
from streams.demo.stop import Stop

HOUSEHOLDS = 150
PRODUCTS = 6_000
RATE = 200.0

_positive = click.FloatRange(min=0, min_open=True)
_count = click.IntRange(min=1)


@dataclass(frozen=True, slots=True)
class Asked:
    """The options, as they were given."""

    households: int | None
    products: int | None
    full: bool
    rate: float
    seconds: float | None
    follow: str | None
    as_json: bool
    plain: bool
    produce_only: bool

    def plan(self) -> Plan:
        """What to do.

        Raises:
            click.UsageError: the options contradict each other.
        """
        if self.full and (self.households or self.products):
            raise click.UsageError("--full takes everything: leave --households and --products out")
        wanted = Slice(None, None) if self.full else Slice(self.households or HOUSEHOLDS, self.products or PRODUCTS)
        return Plan(wanted, Speed(self.rate, self.seconds), self.follow)


@click.command()
@click.option("--for", "seconds", type=_positive, metavar="SECONDS", help="End after so many seconds of shopping.")
@click.option("--rate", type=_positive, default=RATE, show_default=True, help="Events a second.")
@click.option("--follow", metavar="USER", help="Whom to watch, as household-1607.  [default: somebody who buys often]")
@click.option("--households", type=_count, help=f"How many of the 2,469 households shop.  [default: {HOUSEHOLDS}]")
@click.option(
    "--products", type=_count, help=f"How many products there are: the most bought of 67,888.  [default: {PRODUCTS}]"
)
@click.option("--full", is_flag=True, help="All households and all products; encoding them takes minutes.")
@click.option("--json", "as_json", is_flag=True, help="No terminal needed; one JSON object is the last line.")
@click.option("--plain", is_flag=True, help="Lines instead of the live view; without a terminal that is so by itself.")
@click.option("--produce-only", is_flag=True, help="Only send the data to a running Kafka and the shop UPWELL_SHOP.")
@click.pass_context
def demo(ctx: click.Context, /, **options: Any) -> None:
    """Watch real shopping become recommendations, on this machine.

    A grocer's receipts of a year (The Complete Journey) go into Kafka: products as catalogue changes, then purchases
    as events, in time order. A worker encodes, learns and recommends; you watch one household, and at the end see
    how much of what they all bought next had been recommended just before.

    The broker is started for you, or is the one of KAFKA_BOOTSTRAP_SERVERS. Every run starts from nothing in a shop
    of its own, and leaves nothing behind. Ctrl-C ends it.

    \b
    Examples:
      upwell demo
      upwell demo --follow household-156 --rate 100
      upwell demo --full --rate 500
      upwell demo --for 60 --json
      UPWELL_SHOP=shop upwell demo --produce-only
        (once per shop; the worker runs elsewhere)

    \b
    The JSON object:
      events, recommendations, items   acknowledged, received, searchable
      p50_ms, p99_ms                   from when an event was due to the
                                       recommendation that knows it
      hit_rate_20                      share of `targets` among the 20 items
                                       recommended just before the basket
      popularity_hit_rate_20           the same for the 20 most popular items
      targets                          distinct items of all baskets whose
                                       household had a recommendation before
      broker, model, shop, households, seconds, unanswered, interrupted
    """
    asked = Asked(**options)
    plan = asked.plan()
    configured, kafka = settings.load()
    display = choose(plain=asked.plain or asked.as_json)
    act = demo_run.send if asked.produce_only else demo_run.run
    with Stop() as stop:
        outcome = act(plan, configured, kafka, display, stop)
    _show(outcome, as_json=asked.as_json, sent_only=asked.produce_only)
    if stop.signal is not None and not outcome.events:
        ctx.exit(128 + stop.signal)


def _show(outcome: Outcome, *, as_json: bool, sent_only: bool) -> None:
    if as_json:
        click.echo(outcome.json())
    elif sent_only:
        click.echo(f"Sent {outcome.items:,} products and {outcome.events:,} events in {outcome.seconds:.0f} s.")
    else:
        click.echo(str(outcome))
