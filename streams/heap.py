"""The garbage collector, for processes that load much once and then have to answer without a stop."""

import gc


def keep_loaded() -> None:
    """Leave what is there by now out of later collections: none of them stops the loop to look through it."""
    gc.collect()
    gc.freeze()
