"""Run as a script: `python tether.py PARENT COMMAND…` becomes COMMAND, which is told to stop when PARENT dies.

A file of its own, run in a fresh interpreter, because the request must be made in the child, and Python code
between fork and exec is not safe in a process with threads. `PR_SET_PDEATHSIG` outlives exec (prctl(2)).
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Tie this process to its parent and become the command."""
    parent, command = int(sys.argv[1]), sys.argv[2:]
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:  # it died before the request was made
        sys.exit(1)
    os.execv(command[0], command)  # noqa: S606 (there is no shell, on purpose)


if __name__ == "__main__":
    main()
