"""What a policy's rules come to over a whole catalogue: a rule that says nothing is misspelt more often than meant."""

from collections.abc import Sequence

import numpy as np

from streams.core.eligible import Described, Shelf
from streams.core.policy import Policy
from streams.core.rules import written
from streams.core.rules.syntax import All, Any, Cap, Condition, Deed, Did, Exclude, Include, Not
from streams.core.rules.verdict import judge, meets


def notes(policy: Policy, ids: Sequence[str], facts: Sequence[Described]) -> list[str]:
    """What is worth knowing of the rules of a policy, in words; conditions on a shopper's deeds are passed over.

    Args:
        policy: whose rules.
        ids: of the items that can be recommended.
        facts: of these items, in the same order.
    """
    shelf = Shelf(ids, facts, {deed: {} for deed in Deed})
    found = []
    for number, rule in enumerate(policy.rules, start=1):
        if isinstance(rule, Cap):
            idle = not shelf.known(rule.group.value).any()
        else:
            idle = not _asks_of_shopper(rule.condition) and not meets(rule.condition, shelf).any()
        if idle:
            found.append(f"{policy.name}: rule {number} holds for none of {len(ids):,} items: {written(rule)}")
    dropping = [
        rule for rule in policy.rules if isinstance(rule, Exclude | Include) and not _asks_of_shopper(rule.condition)
    ]
    left = int(np.count_nonzero(judge(dropping, shelf).keep))
    if dropping and left < policy.size:
        found.append(f"{policy.name}: its rules leave {left:,} of {len(ids):,} items, for lists of {policy.size}")
    return found


def _asks_of_shopper(condition: Condition) -> bool:
    if isinstance(condition, Not):
        return _asks_of_shopper(condition.part)
    if isinstance(condition, All | Any):
        return any(_asks_of_shopper(part) for part in condition.parts)
    return isinstance(condition, Did)
