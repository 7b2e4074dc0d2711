"""Policies as small files: TOML or JSON with fields of `streams.core.policy.Policy`.

name = "more content"
diversity = 0.8
channel_weights = { content = 2.0, popular = 1.0 }
"""

import dataclasses
import json
import math
import tomllib
from pathlib import Path
from typing import Any

import msgspec

from streams.core.policy import Policy
from streams.errors import ConfigError

BUILT_IN = {"default": Policy()}
"""Policies by name."""

_FIELDS = tuple(field.name for field in dataclasses.fields(Policy))


def load(name_or_path: str) -> Policy:
    """A policy by name, or from a file, whose stem is the policy's name unless it says another.

    Raises:
        ConfigError: there is no such policy, or the file is not one.
    """
    if name_or_path in BUILT_IN:
        return BUILT_IN[name_or_path]
    path = Path(name_or_path)
    if path.suffix not in (".toml", ".json"):
        raise ConfigError(f"no policy {name_or_path!r}: name {', '.join(BUILT_IN)}, or a .toml or .json file")
    try:
        text = path.read_text(encoding="utf-8")
        fields = tomllib.loads(text) if path.suffix == ".toml" else json.loads(text)
    except OSError as error:
        raise ConfigError(f"cannot read the policy {name_or_path}: {error.strerror}") from None
    except ValueError as error:
        raise ConfigError(f"{name_or_path} is not {path.suffix[1:].upper()}: {error}") from None
    return parse(fields, name_or_path, path.stem)


def parse(fields: Any, source: str, name: str) -> Policy:
    """A policy from the fields of a file; `source` is for messages, `name` for a policy that names itself nothing.

    Raises:
        ConfigError: naming the field that is unknown or wrong.
    """
    if not isinstance(fields, dict):
        raise ConfigError(f"{source} holds a {type(fields).__name__}, wanted a table of {', '.join(_FIELDS)}")
    if unknown := sorted(set(fields) - set(_FIELDS)):
        raise ConfigError(f"{source}: unknown field {unknown[0]!r}; a policy has {', '.join(_FIELDS)}")
    try:
        policy = msgspec.convert({"name": name, **fields}, Policy)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{source}: {error}") from None
    _check(policy, source)
    return policy


def _check(policy: Policy, source: str) -> None:
    for name in ("size", "pool"):
        if (value := getattr(policy, name)) < 1:
            raise ConfigError(f"{source}: `{name}` is {value}, wanted at least 1")
    if not 0.0 <= policy.diversity <= 1.0:
        raise ConfigError(f"{source}: `diversity` is {policy.diversity}, wanted 0 to 1")
    for channel, weight in policy.channel_weights.items():
        if not (math.isfinite(weight) and weight >= 0.0):
            raise ConfigError(f"{source}: the weight of {channel.value!r} is {weight}, wanted a number of 0 or more")
