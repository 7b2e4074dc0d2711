"""Long-term interests through the recommender: a mean as the seed had it, and several directions instead of one."""

from dataclasses import replace

import numpy as np

from streams.core.events import EventType
from streams.core.halflives import half_lives
from streams.core.policy import Channel, Policy
from streams.edge import Limits
from tests.unit.records import LIMITS, NOW, event, item
from tests.unit.shop import Shop

CONTENT = Policy(channel_weights={Channel.CONTENT: 1.0}, exploration=0.0, diversity=1.0)
WOODEN = ["oak table", "oak desk", "oak shelf", "oak bench", "oak stool", "oak chair", "oak crate", "oak frame"]
WOVEN = ["wool sock", "wool scarf", "wool hat", "wool glove", "wool coat"]
ITEMS = [*WOODEN, *WOVEN, "tin lamp", "tin bell", "oak wool tin thing"]
MINUTE = 60_000


def stocked(policy: Policy, limits: Limits = LIMITS) -> Shop:
    """A shop with the items."""
    shop = Shop(policy, limits)
    shop.catalogue(
        *(item(name, number, title=f"{2 * (name.split()[0] + ' ')}{name}") for number, name in enumerate(ITEMS))
    )
    return shop


def listed(shop: Shop, *happened: tuple[str, str]) -> list[str]:
    """What is recommended after events, a minute apart."""
    for number, (kind, name) in enumerate(happened):
        (told,) = shop.events(event(number, type=kind, item=name, time=NOW + number * MINUTE))
    return [entry.item for entry in told.items]


def test_without_decay_and_at_weight_one_it_is_the_mean_of_all_that_happened() -> None:
    happened = [("view", "oak table"), ("purchase", "wool sock"), ("click", "oak desk"), ("view", "wool sock")]
    never = half_lives({"habits": None, "intent": None, "impressions": None})
    plain = replace(LIMITS, weights=dict.fromkeys(EventType, 1.0), half_lives=never)
    shop = stocked(replace(CONTENT, interests=0), plain)
    vectors = dict(zip(ITEMS, shop.encoder.encode(list(shop.encoder.texts)), strict=True))
    mean = np.mean([vectors[name] for _, name in happened], axis=0)
    nearness = {name: round(float(vectors[name] @ mean), 5) for name in ITEMS if name != "wool sock"}
    found = listed(shop, *happened)
    assert [nearness[name] for name in found] == sorted(nearness.values(), reverse=True)


def test_two_interests_find_what_their_mean_does_not() -> None:
    """Bought: much of wood, one thing of wool; looking at tin now."""
    happened = [*(("purchase", name) for name in WOODEN[:4]), ("purchase", WOVEN[0]), *[("view", "tin lamp")] * 20]
    one, three = (listed(stocked(replace(CONTENT, interests=most)), *happened) for most in (1, 3))
    assert not any(name in WOVEN for name in one[:5])
    assert any(name in WOVEN for name in three[:3])
    assert any(name in WOODEN for name in three[:8])


def test_what_was_liked_long_ago_is_still_an_interest() -> None:
    """The ring holds lamps alone; what was viewed before is remembered."""
    lamps = [("view", "tin lamp")] * 50

    def first(happened: list[tuple[str, str]]) -> int:
        found = listed(stocked(replace(CONTENT, interests=3)), *happened)
        return min(found.index(name) for name in WOVEN)

    assert first([*[("view", WOVEN[0])] * 5, *lamps]) < first(lamps)


def test_a_shopper_who_lately_liked_nothing_is_told_of_what_was_before() -> None:
    """The ring holds dislikes alone."""
    shop = stocked(CONTENT)
    for number, (kind, name) in enumerate([("view", "oak table"), *[("dislike", "tin lamp")] * 50]):
        (told,) = shop.events(event(number, type=kind, item=name, time=NOW + number * MINUTE))
    assert told.items[0].item in WOODEN
    assert [reason.text for reason in told.items[0].reasons] == ["close to what you were for before"]
