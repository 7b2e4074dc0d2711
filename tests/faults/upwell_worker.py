"""`upwell worker` without what the environment names."""

import sys

from streams import cli
from tests.faults.without import take_away


def main() -> None:
    """Take away, and be the worker."""
    take_away()
    sys.argv[1:] = ["worker", *sys.argv[1:]]
    cli.main()
