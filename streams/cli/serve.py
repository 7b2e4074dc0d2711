"""`upwell serve`: recommendations, similar items and search over HTTP, until stopped."""

# Numerical libraries read this when they are imported; see `streams.cli.worker`.
import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import asyncio

import click
import uvloop

from streams import broker, logs, settings
from streams.items import ItemEncoder, load_item_encoder
from streams.web.serve import Told, run


@click.command()
@click.option("--search/--no-search", default=True, show_default=True, help="Load the encoder, for POST /v1/search.")
def serve(search: bool) -> None:
    """Answer HTTP requests, until SIGTERM or Ctrl-C: recommendations, similar items, search, bulk input.

    The topics must exist (`upwell topics create`). It reads the shared topics and the profiles whole, into memory and
    UPWELL_DATA_DIR/serve; it is in no consumer group, so any number of them may run, beside workers or apart.

    Without API keys it listens on 127.0.0.1 alone. `upwell keys new` makes keys; UPWELL_API_KEYS_FILE names their file.
    What may be asked is described at /openapi.json and in docs/http.md.

    \b
    Examples:
      upwell serve
      UPWELL_API_PORT=9000 upwell serve --no-search
      curl http://127.0.0.1:8080/v1/users/u-1842/recommendations?n=5
    """
    configured, kafka = settings.load()
    api = settings.load_api()
    logs.configure(configured.log_level)
    told = Told(configured, api, kafka, broker.connect(configured, kafka).bootstrap)

    def load(model: str | None) -> ItemEncoder:
        return load_item_encoder(configured, model)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run(told, load if search else None, lambda url: click.echo(f"Serving on {url}.", err=True)))
