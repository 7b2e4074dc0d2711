"""How many tokens one run should take on this machine, measured when an encoder starts."""

import math
from collections.abc import Callable, Sequence

CANDIDATES = (256, 512, 1024)
"""Smaller runs waste the processor's time on calls, larger ones its caches; which, differs between machines."""

TOKENS = 32
"""Of the texts that are measured with."""

_TRIES = 3
_MATTERS = 0.03
"""Shares below this are noise."""


def measure(
    run: Callable[[int, int], object],
    clock: Callable[[], float],
    longest: int = TOKENS,
    candidates: Sequence[int] = CANDIDATES,
) -> int:
    """The smallest budget that costs, a token, about as little as the cheapest one.

    Args:
        run: encodes so many texts of so many tokens.
        clock: seconds; of the thread's processor time where the run has one thread.
        longest: texts the model takes, in tokens.
        candidates: budgets, ascending. What they give is the same, to the bit: only the speed differs.
    """
    tokens = min(TOKENS, longest)
    costs = dict.fromkeys(candidates, math.inf)
    for _ in range(_TRIES):
        # By turns: what disturbs the machine for a moment disturbs no candidate in all its tries.
        for budget in candidates:
            rows = max(1, budget // tokens)
            began = clock()
            run(rows, tokens)
            costs[budget] = min(costs[budget], (clock() - began) / rows)
    bearable = (1 + _MATTERS) * min(costs.values())
    return next(budget for budget in candidates if costs[budget] <= bearable)
