"""What a policy's rules come to over a catalogue."""

from itertools import product

import pytest

from streams.core.policy import Policy
from streams.core.rules import parse_all
from streams.evaluation.ruled import notes
from streams.replicas import Facts

FACTS = [
    Facts(f"{category} {price}", True, category, None, float(price), {"new": price > 5})
    for category, price in product(("Mugs", "Pans"), range(1, 11))
]
IDS = [f"i{number}" for number in range(len(FACTS))]


@pytest.mark.parametrize(
    ("rules", "told"),
    [
        ([], []),
        (["exclude price > 10"], ["rule 1 holds for none of 20 items: exclude price > 10.0"]),
        (["exclude price > 9", "cap category 3"], []),
        (["cap brand 3"], ["rule 1 holds for none of 20 items: cap brand 3"]),
        (['boost category = "Mug" by 2'], ['rule 1 holds for none of 20 items: boost category = "Mug" by 2.0']),
        (['exclude not (category = "Mugs" or purchased)'], []),
        (["exclude purchased within 7d", "include seen"], []),
        (["include price < 3", "exclude attributes.new"], ["its rules leave 4 of 20 items, for lists of 5"]),
        (["include price < 3 and not purchased"], []),
    ],
)
def test_what_is_told(rules: list[str], told: list[str]) -> None:
    policy = Policy("mine", size=5, rules=parse_all(rules))
    assert notes(policy, IDS, FACTS) == [f"mine: {words}" for words in told]
