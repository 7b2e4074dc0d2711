"""Templates that put answers into words: files, which a shop can put others in the place of.

    streams/templates/en/price.j2              as delivered
    UPWELL_ANSWER_TEMPLATES/en/price.j2        in its place; a folder `de` beside `en` makes another language

They are Jinja templates in a sandbox, of which little is left: conditions, loops and macros. What a template prints is
a quote of the catalogue or of the question (`streams.core.answers.grounding`), or its own text; printing anything else
is an error. All are tried on made-up answers before the first question is taken.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jinja2
from jinja2.sandbox import ImmutableSandboxedEnvironment
from markupsafe import Markup

from streams.core.answers.grounding import Attribute, Item, Quoted, Row, Told
from streams.core.answers.plan import Kind
from streams.errors import ConfigError

BUILT_IN = Path(__file__).parent / "templates"
DEFAULT = "en"
SHARED = "item"
"""The template that the others take macros from."""

MOST_LETTERS = 8_000
"""Of an answer."""

_FILTERS = ("first", "last", "length", "list", "reverse", "selectattr", "rejectattr")
_LANGUAGE = re.compile(r"[a-z]{2,3}(-[a-z0-9]{2,8})*")


class UnquotedError(TypeError):
    """A template prints something that is no quote."""


@dataclass(frozen=True, slots=True)
class Answered:
    """All that a template can speak of.

    Attributes:
        items: what was found or named, best first.
        alternatives: others like the first of them, available.
        rows: attributes side by side, for a comparison.
        cheaper: which of the two items of a comparison costs less, None if that cannot be told.
        better_rated: which of them is rated higher.
        unmet: words of the question that the catalogue does not know.
        exact: the items are what was asked for, not only near to it in meaning.
        more: more items are called so.
        personal: the order takes the shopper's taste into account.
    """

    items: list[Item] = field(default_factory=list)
    alternatives: list[Item] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    cheaper: Item | None = None
    better_rated: Item | None = None
    unmet: list[Quoted] = field(default_factory=list)
    exact: bool = True
    more: bool = False
    personal: bool = False


class Wording:
    """The templates.

    Args:
        directory: of the shop's own; None for those that are delivered alone.

    Raises:
        ConfigError: a template is missing, misnamed, or does not work; with its file and line.
    """

    def __init__(self, directory: Path | None = None) -> None:
        self._directory = directory
        if directory is not None and not directory.is_dir():
            raise ConfigError(f"UPWELL_ANSWER_TEMPLATES is {str(directory)!r}, which is no directory")
        self._printed: list[Quoted] = []
        self._environment = self._made()
        self.languages = self._languages()
        """There are templates for."""
        self._templates = {
            (language, kind): self._checked(language, kind) for language in sorted(self.languages) for kind in Kind
        }

    def language(self, wanted: str | None, spoken: str) -> str:
        """The language to answer in: the wanted one or its main language, or what the question is in, or English."""
        tag = (wanted or "").lower()
        return next(one for one in (tag, tag.split("-")[0], spoken, DEFAULT) if one in self.languages)

    def render(self, language: str, kind: Kind, answered: Answered) -> tuple[str, list[Quoted]]:
        """An answer in words, and what it quotes, in order.

        Raises:
            UnquotedError, jinja2.TemplateError: the template does not work; `Wording` has tried it.
        """
        self._printed = []
        context = {name: getattr(answered, name) for name in Answered.__slots__}
        text = self._templates[language, kind].render(context)
        lines = [stripped for line in text.splitlines() if (stripped := line.strip())]
        while sum(map(len, lines)) > MOST_LETTERS and len(lines) > 1:
            del lines[-1]
        text = "\n".join(lines)
        return text, [quote for quote in dict.fromkeys(self._printed) if quote.text in text]

    def _made(self) -> jinja2.Environment:
        loaders = [jinja2.FileSystemLoader(path) for path in (self._directory, BUILT_IN) if path is not None]
        environment = _Environment(
            loader=jinja2.ChoiceLoader(loaders),
            undefined=jinja2.StrictUndefined,
            autoescape=True,  # so that what macros give back can be told from text that was put together
            finalize=self._finalized,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        environment.globals.clear()
        environment.filters = {name: environment.filters[name] for name in _FILTERS}
        return environment

    @jinja2.pass_context  # or Jinja would print what never changes without asking here
    def _finalized(self, _: jinja2.runtime.Context, printed: Any) -> Any:
        if isinstance(printed, Quoted):
            self._printed.append(printed)
            return Markup(printed.text)  # noqa: S704 - plain text comes out
        if isinstance(printed, (Markup, jinja2.Undefined)):
            return printed
        if printed is None:
            raise UnquotedError("it prints what an item may lack: put it between {% if … %} and {% endif %}")
        raise UnquotedError(
            f"it prints {type(printed).__name__}, and only what is from an item or the question can be printed"
        )

    def _languages(self) -> frozenset[str]:
        found = {path.name for path in BUILT_IN.iterdir() if path.is_dir()}
        names = {f"{name}.j2" for name in (SHARED, *Kind)}
        for path in sorted(self._directory.iterdir()) if self._directory is not None else ():
            if not path.is_dir() or not _LANGUAGE.fullmatch(path.name):
                raise ConfigError(f"{path}: in UPWELL_ANSWER_TEMPLATES there are folders named by language: en, zh, de")
            for inside in sorted(path.iterdir()):
                if inside.name not in names:
                    raise ConfigError(f"{inside}: no template is called so; there are {', '.join(sorted(names))}")
            found.add(path.name)
        return frozenset(found)

    def _checked(self, language: str, kind: Kind) -> jinja2.Template:
        name = f"{language}/{kind}.j2"
        try:
            template = self._environment.get_template(name)
            name = template.filename or name
            for sample in _samples():
                context = {part: getattr(sample, part) for part in Answered.__slots__}
                if not template.render(context).strip():
                    raise UnquotedError("it says nothing")
        except jinja2.TemplateNotFound as error:
            raise ConfigError(f"there is no template {error.name}: UPWELL_ANSWER_TEMPLATES must have it") from None
        except jinja2.TemplateSyntaxError as error:
            raise ConfigError(f"{error.filename or name}:{error.lineno}: {error.message}") from None
        except Exception as error:  # whatever a template does wrong, it is the shop's to mend
            raise ConfigError(f"{_place(error, name)}: {error}") from None
        return template


class _Environment(ImmutableSandboxedEnvironment):
    def join_path(self, template: str, parent: str) -> str:
        """Templates name others of their own language."""
        return f"{parent.rpartition('/')[0]}/{template}"


def _place(error: BaseException, name: str) -> str:
    """Where in a template an error came up: Jinja puts its files and lines into tracebacks."""
    place, step = name, error.__traceback__
    while step is not None:
        if step.tb_frame.f_code.co_filename.endswith(".j2"):
            place = f"{step.tb_frame.f_code.co_filename}:{step.tb_lineno}"
        step = step.tb_next
    return place


def _samples() -> list[Answered]:
    """Answers such as there may be: with all that records can say, with nothing of it, about nothing."""

    def quoted(text: str) -> Quoted:
        return Quoted(text, "id", "field")

    flag = Attribute(quoted("waterproof"), None, yes=True)
    attributes = (Attribute(quoted("colour"), quoted("red"), None), flag, Attribute(quoted("round"), None, yes=False))
    tolds = [Told(quoted("colour"), "", attributes), Told(quoted("weight"), "", ())]
    tolds += [Told(quoted(field), field, ()) for field in ("brand", "category", "rating")]
    names = ("id", "title", "brand", "category", "price", "currency", "rating")
    values = dict(zip(names, map(quoted, ("hammer", "Hammer", "Acme", "Tools", "9.90", "EUR", "4.6")), strict=True))
    full = Item(**values, available=True, attributes=attributes, told=tuple(tolds))
    bare = Item(
        id=values["id"], title=values["title"], available=False, brand=None, category=None, price=None,
        currency=None, rating=None, attributes=(), told=tuple(tolds),
    )  # fmt: skip
    table = [Row(quoted("colour"), (attributes[0], None)), Row(quoted("waterproof"), (None, flag))]
    return [
        Answered([full, bare], [full], table, full, full, more=True, personal=True),
        Answered([bare, full], [bare], table, unmet=[quoted("purple")], exact=False),
        Answered([bare, bare]),
        Answered(unmet=[quoted("purple")]),
        Answered(),
    ]
