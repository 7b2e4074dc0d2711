"""`upwell contract`: the AsyncAPI document and JSON Schemas, for people who produce and consume."""

import json
from pathlib import Path

import click

from streams import asyncapi, settings
from streams.errors import ContractError, DataError
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
    """Write asyncapi.yaml and schemas/*.json into FOLDER (default: docs).

    \b
    Examples:
      upwell contract write
      UPWELL_SHOP=books upwell contract write books-contract
    """
    for name, text in asyncapi.files(_topics()).items():
        path = folder / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        except OSError as error:
            raise DataError(f"cannot write {path}: {error.strerror}") from None
        click.echo(path)


@contract.command()
@_folder
@click.option("--json", "as_json", is_flag=True, help="One JSON array: the files that are out of date.")
def check(folder: Path, as_json: bool) -> None:
    """Exit code 4 unless the files in FOLDER (default: docs) are what this version writes.

    \b
    Examples:
      upwell contract check
      upwell contract check books-contract --json
    """
    stale = asyncapi.stale(folder, _topics())
    if as_json:
        click.echo(json.dumps(list(map(str, stale))))
    if stale:
        raise ContractError(f"out of date in {folder}: {', '.join(stale)}; run `upwell contract write {folder}`")
    if not as_json:
        click.echo(f"{folder} is up to date.")


def _topics() -> Topics:
    configured, _ = settings.load()
    return topics(configured.shop, configured.partitions)
