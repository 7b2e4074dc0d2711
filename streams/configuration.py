"""Every setting with its value now and where that came from, and the page of all settings (docs/configuration.md).

Both are made from the classes of `streams.settings`: a setting that is added there is shown and documented.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum, StrEnum
from pathlib import Path
from types import NoneType
from typing import Any, get_args

from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from pydantic_settings import BaseSettings

from streams import settings

_HOMES = {
    "data_dir": "`$XDG_STATE_HOME/upwell`, else `~/.local/state/upwell`",
    "cache_dir": "`$XDG_CACHE_HOME/upwell`, else `~/.cache/upwell`",
}
"""Defaults that are another on every machine, in words."""

_INTRODUCTION = """\
# Configuration

<!-- Made by `upwell config --markdown`; a test holds it equal. Change streams/settings.py instead. -->

Settings are environment variables. `upwell config` shows those in force here, each with where it came from, and
`upwell doctor` whether they work. A wrong one is named, never shown, and ends a command with exit code 2.

Secrets come through the environment or, better, a file: where a variable has a neighbour with `_FILE` behind its name,
that one names a file which holds the value (Docker and Kubernetes mount such files). They are never shown or logged.
"""

_OTHERS = """
## Of other programs

| variable | what |
|---|---|
| `XDG_STATE_HOME`, `XDG_CACHE_HOME` | where the defaults of `UPWELL_DATA_DIR` and `UPWELL_CACHE_DIR` are |
| `JAVA_HOME`, `MAVEN_HOME` | the Java and the Maven of `upwell broker start`, where those on the `PATH` will not do |
| `OPENBLAS_NUM_THREADS` | threads of numpy; 1 unless set: on a busy machine more of them are slower |
| `NO_COLOR`, `COLUMNS` | how tables look |
"""


class Origin(StrEnum):
    """Where a value comes from."""

    DEFAULT = "default"
    ENVIRONMENT = "env"
    FILE = "file"


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting that is in force. `value` is what may be shown: of a secret, whether it is set."""

    variable: str
    value: Any
    origin: Origin
    secret: bool
    about: str

    @property
    def text(self) -> str:
        """The value as it would be written in the environment."""
        return _text(self.value)


def kinds() -> list[type[BaseSettings]]:
    """The classes of settings."""
    return [settings.KafkaSettings, settings.Settings, settings.ApiSettings]


def in_force(loaded: BaseSettings, environment: Mapping[str, str]) -> Iterator[Setting]:
    """The settings of one kind.

    Args:
        loaded: as they were read.
        environment: what they were read from.
    """
    given = {name.upper() for name in environment}
    for name, field in type(loaded).model_fields.items():
        variable = _variable(type(loaded), name)
        value = getattr(loaded, name)
        origin = Origin.ENVIRONMENT if variable in given else Origin.DEFAULT
        secret = SecretStr in _types(field)
        if secret and value is None and getattr(loaded, f"{name}_file", None) is not None:
            origin = Origin.FILE
        if secret:
            value = "(hidden)" if value is not None or origin is Origin.FILE else None
        yield Setting(variable, _plain(value), origin, secret, field.description or "")


def markdown() -> str:
    """docs/configuration.md: every setting with its default, what is allowed, and what it does."""
    return _INTRODUCTION + "".join(map(_section, kinds())) + _OTHERS


def _section(kind: type[BaseSettings]) -> str:
    title, _, about = (kind.__doc__ or "").partition("\n")[0].partition(": ")
    rows = [
        f"| `{_variable(kind, name)}` | {_default(name, field)} | {_allowed(field)} | {_cell(field.description)} |"
        for name, field in kind.model_fields.items()
    ]
    head = "| variable | default | allowed | what |\n|---|---|---|---|\n"
    return f"\n## {title}\n\n{about[:1].upper()}{about[1:]}\n\n{head}" + "\n".join(rows) + "\n"


def _default(name: str, field: FieldInfo) -> str:
    if name in _HOMES:
        return _HOMES[name]
    default = field.get_default(call_default_factory=True)
    if default is PydanticUndefined:
        return "required"
    shown = _text(_plain(default))
    return f"`{_cell(shown)}`" if shown else ""


def _allowed(field: FieldInfo) -> str:
    """What is allowed beside the type: choices, bounds, a pattern."""
    for kind in _types(field):
        if isinstance(kind, type) and issubclass(kind, Enum):
            return ", ".join(f"`{choice.value}`" for choice in kind)
    if bool in _types(field):
        return "`true`, `false`"
    limits = {
        sign: getattr(limit, name)
        for limit in field.metadata
        for name, sign in (("ge", "≥"), ("gt", ">"), ("le", "≤"), ("lt", "<"), ("pattern", "~"))
        if getattr(limit, name, None) is not None
    }
    if pattern := limits.pop("~", None):
        return f"`{_cell(pattern)}`"
    if {"≥", "≤"} == limits.keys():
        return f"{_number(limits['≥'])} to {_number(limits['≤'])}"
    return ", ".join(f"{sign} {_number(limit)}" for sign, limit in limits.items())


def _types(field: FieldInfo) -> set[Any]:
    """The types that a field takes, None apart."""
    return set(get_args(field.annotation) or (field.annotation,)) - {NoneType}


def _variable(kind: type[BaseSettings], name: str) -> str:
    return f"{kind.model_config['env_prefix']}{name.upper()}"


def _plain(value: Any) -> Any:
    """A value as JSON can hold it."""
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Path | SecretStr):
        return str(value)
    return list(value) if isinstance(value, tuple) else value


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return ",".join(map(str, value))
    if isinstance(value, dict):
        return json.dumps(value) if value else ""
    return f"{value:g}" if isinstance(value, float) else str(value)


def _number(limit: float) -> str:
    return f"{limit:,}" if isinstance(limit, int) else f"{limit:,g}"


def _cell(text: str | None) -> str:
    return (text or "").replace("|", r"\|")
