"""The blocks of the documentation that are marked as runnable run, as they stand, on a broker and without a network."""

import os
import shutil
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

from streams.broker.probe import free_port
from streams.settings import Settings
from streams.topics import Topics
from tests.documents import ROOT, Block, blocks, pages

PATIENCE_S = 180

_START = """\
set -euo pipefail
trap 'jobs -p | xargs --no-run-if-empty kill; wait; {end}' EXIT
"""

_UPWELL = """\
#!/bin/sh
test "$1 $2" != "broker start" || set -- "$@" --port 0
exec "{python}" -c 'from streams.cli import main; main()' "$@"
"""

_CURL = """\
#!/bin/bash
# What was started on the line before may not listen yet, and another's port may be taken on this machine.
exec "{curl}" --silent --show-error --fail-with-body --retry 60 --retry-delay 1 --retry-connrefused \
    "${{@//:8080/:$UPWELL_API_PORT}}"
"""


def scripts() -> dict[str, list[Block]]:
    """What is run together: the blocks of a page, and each block that is run alone."""
    found = defaultdict(list)
    for page in pages():
        for block in blocks(page):
            if block.runnable:
                found[str(block) if block.alone else block.page].append(block)
    return found


SCRIPTS = scripts()


def script(found: list[Block]) -> str:
    """Blocks as one script, each of its lines told before it runs."""
    lines = [line for block in found for line in block.lines]
    told = [f"echo '=== {number}' >&2\n{line}" for number, line in enumerate(lines)]
    end = "upwell broker stop" if found[0].broker else ""
    return _START.format(end=end) + "\n".join(told)


def program(path: Path, text: str) -> None:
    """A program, not a function of the shell: what is started in the background is it, not a shell around it."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    path.chmod(0o700)


@pytest.mark.parametrize("name", SCRIPTS)
def test_what_is_marked_as_runnable_runs(
    name: str, settings: Settings, bootstrap: str, shop_topics: Topics, tmp_path: Path
) -> None:
    found = SCRIPTS[name]
    # Blocks name files of the repository, and write where they are run.
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    programs = tmp_path / "bin"
    program(programs / "upwell", _UPWELL.format(python=sys.executable))
    program(programs / "curl", _CURL.format(curl=shutil.which("curl")))
    environment = {
        **os.environ,
        "PATH": f"{programs}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "KAFKA_BOOTSTRAP_SERVERS": bootstrap,
        "UPWELL_SHOP": settings.shop,
        "UPWELL_PARTITIONS": str(settings.partitions),
        "UPWELL_DATA_DIR": str(tmp_path / "data"),
        "UPWELL_CACHE_DIR": str(settings.cache_dir),
        "UPWELL_API_PORT": str(free_port("127.0.0.1")),
        "UPWELL_MODEL": "hashing",
    }
    if found[0].broker:
        del environment["KAFKA_BOOTSTRAP_SERVERS"], environment["UPWELL_MODEL"]
    done = subprocess.run(
        # It asks before it kills, so that the script stops what it has started.
        ["timeout", "--kill-after=30", str(PATIENCE_S), "bash", "-c", script(found)],
        cwd=tmp_path,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert shop_topics.recommendations.name
