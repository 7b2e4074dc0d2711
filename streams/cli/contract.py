"""`upwell contract`: the AsyncAPI document and JSON Schemas, for people who produce and consume."""

from pathlib import Path

import click

from streams import asyncapi, settings
from streams.errors import ContractError
from streams.topics import Topics, topics

_folder = click.argument("folder", type=click.Path(file_okay=False, path_type=Path), default="docs")


@click.group()
def contract() -> None:
    """The contract of the topics, as AsyncAPI 3.0 and JSON Schema.

    Topic names and partitions are those of UPWELL_SHOP and UPWELL_PARTITIONS.

    \b
    Examples:
      upwell contract check
      UPWELL_SHOP=books upwell contract write books-contract
    """


@contract.command()
@_folder
def write(folder: Path) -> None:
    """Write asyncapi.yaml and schemas/*.json into FOLDER (default: docs)."""
    for name, text in asyncapi.files(_topics()).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        click.echo(path)


@contract.command()
@_folder
def check(folder: Path) -> None:
    """Fail unless the files in FOLDER (default: docs) are what this version writes."""
    if stale := asyncapi.stale(folder, _topics()):
        raise ContractError(f"out of date in {folder}: {', '.join(stale)}; run `upwell contract write {folder}`")
    click.echo(f"{folder} is up to date.")


def _topics() -> Topics:
    configured, _ = settings.load()
    return topics(configured.shop, configured.partitions)
