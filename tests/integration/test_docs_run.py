"""The blocks of the documentation that are marked as runnable run, as they stand, on a broker and without a network."""

import itertools
import os
import subprocess
import sys
from pathlib import Path

import pytest

from streams.settings import Settings
from streams.topics import Topics
from tests.documents import ROOT, Block, blocks, pages

PATIENCE_S = 240
PAGES = {
    page: list(found)
    for page, found in itertools.groupby(
        (block for page in pages() for block in blocks(page) if block.runnable), key=lambda block: block.page
    )
}

_START = """\
set -euo pipefail
trap 'jobs -p | xargs --no-run-if-empty kill; wait' EXIT
"""

_UPWELL = """\
#!/bin/sh
exec "{python}" -c 'from streams.cli import main; main()' "$@"
"""


def script(found: list[Block]) -> str:
    """The blocks of a page as one script, each of its lines told before it runs."""
    lines = [line for block in found for line in block.lines]
    told = [f"echo '=== {number}' >&2\n{line}" for number, line in enumerate(lines)]
    return _START + "\n".join(told)


@pytest.mark.parametrize("page", PAGES)
def test_what_is_marked_as_runnable_runs(
    page: str, settings: Settings, bootstrap: str, shop_topics: Topics, tmp_path: Path
) -> None:
    # Blocks name files of the repository, and write where they are run.
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    # A program, not a function of the shell: what is started in the background is the worker, not a shell around it.
    upwell = tmp_path / "bin/upwell"
    upwell.parent.mkdir()
    upwell.write_text(_UPWELL.format(python=sys.executable))
    upwell.chmod(0o700)
    done = subprocess.run(
        ["bash", "-c", script(PAGES[page])],
        cwd=tmp_path,
        env={
            **os.environ,
            "PATH": f"{upwell.parent}:{os.environ['PATH']}",
            "KAFKA_BOOTSTRAP_SERVERS": bootstrap,
            "UPWELL_SHOP": settings.shop,
            "UPWELL_PARTITIONS": str(settings.partitions),
            "UPWELL_DATA_DIR": str(settings.data_dir),
            "UPWELL_MODEL": "hashing",
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert shop_topics.recommendations.name
