"""The environment of whoever starts the tests: what is kept of it, and what they would otherwise depend on."""

import os

KEPT = frozenset({"UPWELL_CACHE_DIR", "UPWELL_FAULT_ROUNDS", "UPWELL_FAULT_SEED"})
"""Where jars and models are, and how long the fault tests run (`make faults`)."""

TERMINAL = frozenset({"COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"})
"""What rich and click look at before they look at the terminal."""


def forget() -> None:
    """Take out of the environment what is no business of the tests, theirs and their children's.

    The cluster's settings stay where they name one: the tests then run on it (tests/brokers.py).
    """
    kafka = () if "KAFKA_BOOTSTRAP_SERVERS" in os.environ else ("KAFKA_",)
    for name in list(os.environ):
        if (name.startswith(("UPWELL_", "OTEL_", *kafka)) and name not in KEPT) or name in TERMINAL:
            del os.environ[name]
