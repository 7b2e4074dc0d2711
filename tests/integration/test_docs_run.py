"""The blocks of the documentation run, as they stand: on a broker, and with what tests/standins.py puts in their way.

Only with a Docker engine runs all of what WITH_ENGINE lists. Where none answers, Compose reads its file and
options, `upwell` its own, and tests/unit/test_deploy.py holds what the image and the services are made of.
"""

import json
import os
import shutil
import subprocess
from collections import defaultdict
from pathlib import Path

import pytest

from streams.broker.probe import free_port
from streams.settings import Settings
from streams.topics import Topics
from tests import standins
from tests.brokers import engine_answers
from tests.documents import ROOT, Block, blocks, pages
from tests.minilm import product_texts
from tests.unit.issuer import Issuer

PATIENCE_S = 240
WITH_ENGINE = {"make up", "docker compose exec worker-1 upwell tail recommendations -n 3", "make down"}
TRANSLATED = {"README.zh-CN.md": "README.md"}
"""Pages with the commands of another."""

_START = """\
set -euo pipefail
trap 'jobs -p | xargs --no-run-if-empty kill; wait; {end}' EXIT
"""

RATINGS = """\
userId,movieId,rating,timestamp
anna,saw-hand,4,2026-01-05T10:00:00Z
bert,hammer-16oz,5,2026-01-05T11:00:00Z
anna,saw-hand,4,2026-01-05T10:00:00Z
anna,hammer-16oz,9,2026-01-05T12:00:00Z
"""


def scripts() -> dict[str, list[Block]]:
    """What is run together: the blocks of a page, and each block that is run alone."""
    found = defaultdict(list)
    every = [block for page in pages() if page.name not in TRANSLATED for block in blocks(page) if block.lines]
    for block in every:
        if not any(map(standins.missing, block.lines)) and not any(is_part(block, other) for other in every):
            found[str(block) if block.alone else block.page].append(block)
    return found


def is_part(block: Block, of: Block) -> bool:
    """Whether a block that is run alone is the beginning of another: that one is run."""
    own, others = ([said(line) for line in one.lines] for one in (block, of))
    return (
        block.alone and of.alone and block.broker == of.broker and len(own) < len(others) and others[: len(own)] == own
    )


def said(line: str) -> str:
    """A line without the remark at its end."""
    return line.partition(" # ")[0].strip()


SCRIPTS = scripts()


def script(found: list[Block]) -> str:
    """Blocks as one script, each of its lines told before it runs."""
    told = []
    for block in found:
        *lines, last = block.lines
        if block.code:
            last = f"{{ {last} ; }} && exit 1 || test $? = {block.code}"
        told += [f"echo '=== {block}, line {number}' >&2\n{line}" for number, line in enumerate([*lines, last], 1)]
    end = "upwell broker stop" if found[0].broker else ""
    return _START.format(end=end) + "\n".join(told)


def prepare(directory: Path, page: str) -> dict[str, str]:
    """What blocks take for granted: the repository, and files and variables of the reader's own."""
    shutil.copytree(ROOT / "examples", directory / "examples", ignore=shutil.ignore_patterns("node_modules"))
    for name in ("streams", "encoders", "index", "deploy", "pyproject.toml", "README.md", "LICENSE"):
        (directory / name).symlink_to(ROOT / name)
    match page:
        case "docs/cli.md":
            (directory / "ratings.csv").write_text(RATINGS)
        case "docs/models.md":
            items = ({"id": str(n), "title": text} for n, text in enumerate(product_texts(200)))
            (directory / "catalogue.jsonl").write_text("".join(f"{json.dumps(item)}\n" for item in items))
        case "docs/http.md":
            issuer = Issuer()
            (directory / "jwks.json").write_text(issuer.jwks())
            return {"TOKEN": issuer.token()}
        case "docs/getting-started.md" | "docs/formats.md":
            return standins.offline_pip()
    return {}


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache with all that the shared one has, to which blocks may add: what a page builds is there for the next."""
    shared, own = Settings().cache_dir, tmp_path_factory.mktemp("cache")
    for name in ("kafka", "sources"):
        (own / name).symlink_to(shared / name)
    for version in (shared / "models").glob("*/*"):
        (own / "models" / version.parent.name).mkdir(parents=True, exist_ok=True)
        (own / "models" / version.parent.name / version.name).symlink_to(version)
    return own


def test_every_block_is_run() -> None:
    found = [block for page in pages() for block in blocks(page) if block.lines]
    assert [str(block) for block in found if not block.runnable and block.page not in TRANSLATED] == []
    assert {line for block in found if block.engine for line in block.lines} == WITH_ENGINE
    for page, original in TRANSLATED.items():
        lines = {name: {said(line) for b in found if b.page == name for line in b.lines} for name in (page, original)}
        assert lines[page] <= lines[original]


@pytest.mark.timeout(3_600 if engine_answers() else 300)
@pytest.mark.parametrize("name", SCRIPTS)
def test_what_the_pages_show_runs(
    name: str, settings: Settings, bootstrap: str, shop_topics: Topics, cache: Path, tmp_path: Path
) -> None:
    found = SCRIPTS[name]
    given = prepare(tmp_path, found[0].page)
    home = tmp_path / ".cache" / "upwell"  # where blocks look that name the cache themselves
    home.parent.mkdir()
    home.symlink_to(cache)
    programs = tmp_path / "bin"
    standins.install(programs, settings.cache_dir, [line for block in found for line in block.lines])
    environment = {
        **os.environ,
        "PATH": f"{programs}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "BROKER_PORT": str(free_port("127.0.0.1")),
        "COMPOSE_FILE": str(ROOT / "docker-compose.yml"),
        "KAFKA_BOOTSTRAP_SERVERS": bootstrap,
        "UPWELL_SHOP": settings.shop,
        "UPWELL_PARTITIONS": str(settings.partitions),
        "UPWELL_DATA_DIR": str(tmp_path / "data"),
        "UPWELL_CACHE_DIR": str(cache),
        "UPWELL_API_PORT": str(free_port("127.0.0.1")),
        "UPWELL_MODEL": "hashing",
        "UPWELL_ENCODE_TOKENS": "512",  # unset it is measured whenever an encoder starts, and vectors are the same
        "OPENBLAS_NUM_THREADS": "1",  # threads that wait for each other on a busy machine take twice as long
        **given,
    }
    if found[0].broker:
        for variable in ("KAFKA_BOOTSTRAP_SERVERS", "UPWELL_SHOP", "UPWELL_MODEL"):
            del environment[variable]
    done = subprocess.run(
        # It asks before it kills, so that the script stops what it has started.
        ["timeout", "--kill-after=30", str(3_000 if found[0].engine else PATIENCE_S), "bash", "-c", script(found)],
        cwd=tmp_path,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    printed = {line for block in found if block.code for line in block.printed}
    assert printed <= {*done.stdout.splitlines(), *done.stderr.splitlines()}
    assert shop_topics.recommendations.name
