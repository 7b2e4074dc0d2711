"""`upwell worker`: turn events into recommendations, until stopped."""

# Numerical libraries read this when they are imported. The index scans a few thousand rows at a time from one thread;
# on a busy machine threads that wait for each other make that many times slower.
import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import asyncio
from collections.abc import Sequence

import click
import uvloop

from streams import broker, logs, settings
from streams.items import ItemEncoder, load_item_encoder
from streams.worker import Cluster, Role, run

ALL = [role.value for role in Role]
USUAL = [role.value for role in Role if role not in (Role.HEAD, Role.ANSWERS)]


@click.command()
@click.option(
    "--roles",
    default=",".join(USUAL),
    show_default=True,
    metavar="ROLE[,ROLE]",
    help="encoder: embeds catalogue changes. profiles: keeps profiles and recommends. neighbours: keeps what goes "
    "together. head: learns where shoppers go next. ranker: learns to rank from what they do next. answers: answers "
    "questions; it holds a copy of all profiles and an encoder of its own.",
)
@click.option("--require-gpu", is_flag=True, help="Fail unless the encoder runs on a GPU.")
def worker(roles: str, require_gpu: bool) -> None:
    """Turn events into recommendations, until SIGTERM or Ctrl-C.

    The topics must exist (`upwell topics create`) and the encoder must be built (`upwell model build`). State lives
    in RocksDB under UPWELL_DATA_DIR; if that directory is lost, it is rebuilt from the topics. Start as many workers
    as there are partitions; each needs a data directory of its own.

    \b
    Examples:
      upwell worker
      upwell worker --roles encoder --require-gpu
      upwell worker --roles encoder,profiles,neighbours,head
      upwell worker --roles answers
      KAFKA_BOOTSTRAP_SERVERS=kafka:9092 UPWELL_SHOP=books upwell worker --roles profiles
    """
    wanted = _roles(roles.split(","))
    configured, kafka = settings.load()
    logs.configure(configured.log_level)
    cluster = Cluster(broker.connect(configured, kafka).bootstrap, kafka)

    def load(model: str | None) -> ItemEncoder:
        return load_item_encoder(configured, model, require_gpu=require_gpu)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run(configured, cluster, wanted, load, lambda: click.echo("Worker runs.", err=True)))


def _roles(names: Sequence[str]) -> set[Role]:
    unknown = [name for name in names if name not in ALL]
    if unknown:
        raise click.BadParameter(f"{', '.join(unknown)!r}: choose from {', '.join(ALL)}", param_hint="--roles")
    return {Role(name) for name in names}
