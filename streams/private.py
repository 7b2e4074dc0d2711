"""Directories that nobody else on the machine can look into: profiles are kept in them."""

from pathlib import Path


def private(path: Path) -> None:
    """Make a directory and the parents that it lacks, for this user alone. What is there stays as it is.

    Raises:
        OSError: it cannot be made.
    """
    for missing in [one for one in (path, *path.parents) if not one.exists()][::-1]:
        missing.mkdir(mode=0o700, exist_ok=True)
    path.mkdir(exist_ok=True)  # says what is wrong with one that is no directory
