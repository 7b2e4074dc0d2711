"""`upwell keys`: API keys for `upwell serve`, and the keys of shoppers' pseudonyms."""

from pathlib import Path

import click

from streams import pseudonyms as hiding
from streams.web.keys import Scope, new


@click.group()
def keys() -> None:
    """API keys for `upwell serve`, and the keys of shoppers' pseudonyms.

    \b
    Examples:
      upwell keys new website --scopes query,ingest
      upwell keys pseudonyms
    """


@keys.command(name="new")
@click.argument("name")
@click.option(
    "--scopes", required=True, metavar="SCOPE[,SCOPE]",
    help="query: recommendations, items, search. ingest: events and items. admin: erase shoppers, the live stream. "
    "metrics: /metrics.",
)  # fmt: skip
def create(name: str, scopes: str) -> None:
    """Make a key: it goes to standard output, once; its line for the keys file goes to standard error.

    NAME is who will use it: it counts requests under that name. The file holds the SHA-256 of the key, never the key.

    \b
    Example:
      upwell keys new website --scopes query,ingest 2>> keys.txt
    """
    unknown = [scope for scope in scopes.split(",") if scope not in set(Scope)]
    if unknown:
        raise click.BadParameter(f"{', '.join(unknown)!r}: choose from {', '.join(Scope)}", param_hint="--scopes")
    key, line = new(name, [Scope(scope) for scope in scopes.split(",")])
    click.echo(key)
    click.echo(line, err=True)


@keys.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False), required=False)
def pseudonyms(file: Path | None) -> None:
    """Print the line of a fresh key for shoppers' pseudonyms: version 1, or the one after those in FILE.

    Append it to the file that UPWELL_PSEUDONYM_KEYS_FILE names; nobody but Upwell may read that. The keys are all that
    links pseudonyms to people: keep a copy where you keep secrets. When a key was added, run `upwell rekey`.

    \b
    Examples:
      (umask 077; upwell keys pseudonyms > pseudonyms.keys)
      upwell keys pseudonyms pseudonyms.keys >> pseudonyms.keys
    """
    exists = file is not None and file.exists() and file.stat().st_size > 0
    click.echo(hiding.new_line(hiding.read(file).current + 1 if file and exists else 1))
