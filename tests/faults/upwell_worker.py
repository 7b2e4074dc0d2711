"""`upwell worker` without what the environment names: `python -m tests.faults.upwell_worker`."""

import sys

from streams.cli import main
from tests.faults.without import take_away

if __name__ == "__main__":
    take_away()
    sys.argv[1:] = ["worker", *sys.argv[1:]]
    main()
