"""`upwell scrub`: take what was deleted out of this machine's files, and show that it is gone."""

import json
from collections.abc import Sequence

import click
from rich.console import Console
from rich.progress import track

from streams import pseudonyms, settings
from streams import scrub as scrubbing
from streams.errors import ConfigError, UpwellError
from streams.scrub import Scrubbed


class FoundError(UpwellError):
    """A name is still in a store."""


@click.command()
@click.argument("users", metavar="[USER]...", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def scrub(users: Sequence[str], as_json: bool) -> None:
    """Write the stores under UPWELL_DATA_DIR anew, without deleted rows; search rows and files for each USER.

    Workers and servers of this machine have to be stopped. What `upwell erase` deleted is then in no file of theirs,
    nor in the manifests. USER is searched for by id and by every pseudonym that the keys here give; names that are part
    of others are found in those, too. Exit code 1 if one is found. Kafka's own files are not looked at: compaction and
    retention end what is in there.

    \b
    Examples:
      upwell scrub
      upwell scrub u-1842 --json
    """
    configured, _ = settings.load()
    names = _names(pseudonyms.of_settings(configured), users)
    paths = scrubbing.stores(configured.data_dir)
    console = Console(stderr=True)
    shown = track(paths, "writing anew", console=console, transient=True, disable=not console.is_terminal)
    done = [scrubbing.scrub(path, names) for path in shown]
    if as_json:
        click.echo(json.dumps({"stores": [_described(one) for one in done], "found": any(one.found for one in done)}))
    else:
        for one in done:
            click.echo(f"{one.path}: {one.rows:,} rows, {one.before:,} bytes before, {one.after:,} now")
        told = f"{len(done)} stores were written anew." if done else f"There is no store under {configured.data_dir}."
        click.echo(told)
    if places := [str(one.path) for one in done if one.found]:
        raise FoundError(
            f"one of the names is still in {', '.join(places)}: has the shopper done something since, or has the "
            "worker not yet read the request (`upwell erase`)?"
        )
    if users and done and not as_json:
        click.echo(f"{'The shopper is' if len(users) == 1 else 'The shoppers are'} in none of them.")


def _names(made: pseudonyms.Pseudonyms | None, users: Sequence[str]) -> list[bytes]:
    names = [name for user in users for name in (made.all_of(user) if made else [user])]
    if not all(names):
        raise ConfigError("a USER is empty: everything has that in it")
    return [name.encode() for name in names]


def _described(one: Scrubbed) -> dict[str, object]:
    sizes = {"bytes_before": one.before, "bytes": one.after}
    return {"path": str(one.path), "rows": one.rows, **sizes, "found": bool(one.found)}
