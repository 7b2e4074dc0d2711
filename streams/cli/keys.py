"""`upwell keys`: API keys for `upwell serve`."""

import click

from streams.web.keys import Scope, new


@click.group()
def keys() -> None:
    """API keys for `upwell serve`.

    \b
    Example:
      upwell keys new website --scopes query,ingest
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
