"""`upwell pseudonym`: under which name the topics know a shopper."""

from collections.abc import Iterator, Sequence

import click

from streams import pseudonyms as making
from streams import settings
from streams.errors import ConfigError


@click.command()
@click.argument("users", metavar="USER...", nargs=-1, required=True)
def pseudonym(users: Sequence[str]) -> None:
    """Print the pseudonym of each USER, a line each: the key of their profile and recommendations.

    USER is an id, or a pseudonym of an older version; "-" reads ids from standard input, one a line. With the keys of
    UPWELL_PSEUDONYM_KEYS_FILE ids become pseudonyms; nothing turns them back.

    \b
    Examples:
      upwell pseudonym u-1842
      cut -d, -f1 customers.csv | upwell pseudonym - > pseudonyms.txt
    """
    configured, _ = settings.load()
    found = making.of_settings(configured)
    if found is None:
        raise ConfigError("there are no pseudonyms here: set UPWELL_PSEUDONYM_KEYS_FILE (`upwell keys pseudonyms`)")
    for user in _each(users):
        click.echo(found.of(user))


def _each(users: Sequence[str]) -> Iterator[str]:
    for user in users:
        if user == "-":
            yield from (line.rstrip("\n") for line in click.get_text_stream("stdin") if line.strip())
        else:
            yield user
