"""Policies as small files: TOML or JSON with fields of `streams.core.policy.Policy`.

name = "more content"
diversity = 0.8
channel_weights = { content = 2.0, popular = 1.0 }
rules = ['exclude price > 100', 'boost brand = "acme" by 1.5', 'cap category 3']
"""

import dataclasses
import json
import math
import tomllib
from collections.abc import Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any, get_type_hints

import msgspec

from streams.core.policy import Channel, Policy
from streams.core.rules import Rule, RuleError, parse, written
from streams.errors import ConfigError
from streams.settings import Settings

BUILT_IN = {"default": Policy()}
"""Policies by name."""

MAX_RULES = 100
MAX_INTERESTS = 8
MAX_SIZE = 200
"""As of `UPWELL_RECOMMEND`."""

_FIELDS = get_type_hints(Policy)


def of(settings: Settings) -> Policy:
    """The policy that the settings ask for; one from a file carries the digest of what it says in its name.

    Raises:
        ConfigError: the file cannot be read, or is not a policy.
    """
    usual = Policy(name=settings.policy, size=settings.recommend)
    if settings.policy_file is None:
        return usual
    policy = read(settings.policy_file, usual)
    return dataclasses.replace(policy, name=f"{policy.name}@{digest(policy)}")


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
    return read(path, Policy())


def read(path: Path, usual: Policy) -> Policy:
    """A policy from a file, whose stem is its name; what the file does not say is as in `usual`.

    Raises:
        ConfigError: the file cannot be read, or is not a policy.
    """
    try:
        text = path.read_text(encoding="utf-8")
        fields = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except OSError as error:
        raise ConfigError(f"cannot read the policy {path}: {error.strerror}") from None
    except ValueError as error:
        raise ConfigError(f"{path} is not {'JSON' if path.suffix == '.json' else 'TOML'}: {error}") from None
    return parsed(fields, str(path), dataclasses.replace(usual, name=path.stem))


def parsed(fields: Any, source: str, usual: Policy) -> Policy:
    """A policy from the fields of a file; `source` is for messages, `usual` has what the file does not say.

    Raises:
        ConfigError: naming the field that is unknown or wrong.
    """
    if not isinstance(fields, dict):
        raise ConfigError(f"{source} holds a {type(fields).__name__}, wanted a table of {', '.join(_FIELDS)}")
    if unknown := sorted(set(fields) - set(_FIELDS)):
        raise ConfigError(f"{source}: unknown field {unknown[0]!r}; a policy has {', '.join(_FIELDS)}")
    policy = dataclasses.replace(usual, **{name: _field(name, value, source) for name, value in fields.items()})
    _check(policy, source)
    return policy


def as_json(policy: Policy) -> dict[str, Any]:
    """A policy as the fields of a file, all of them, in a fixed order."""
    fields = {name: getattr(policy, name) for name in _FIELDS if name != "rules"}
    fields["rules"] = [written(rule) for rule in policy.rules]
    plain: dict[str, Any] = msgspec.to_builtins(fields, order="deterministic")
    return plain


def digest(policy: Policy) -> str:
    """What a policy says, in 8 hex digits: the same for the same policy, another for any other. Its name is apart."""
    said = as_json(dataclasses.replace(policy, name=""))
    return blake2b(json.dumps(said, sort_keys=True).encode(), digest_size=4).hexdigest()


def _field(name: str, value: Any, source: str) -> Any:
    if name == "channel_weights" and isinstance(value, dict):
        _check_channels(value, source)
    try:
        if name == "rules":
            return _rules(msgspec.convert(value, list[str]), source)
        return msgspec.convert(value, _FIELDS[name])
    except msgspec.ValidationError as error:
        raise ConfigError(f"{source}: `{name}`: {error}") from None


def _rules(texts: list[str], source: str) -> tuple[Rule, ...]:
    if len(texts) > MAX_RULES:
        raise ConfigError(f"{source}: {len(texts)} rules, at most {MAX_RULES} are read")
    rules = []
    for number, text in enumerate(texts, start=1):
        try:
            rules.append(parse(text))
        except RuleError as error:
            raise ConfigError(f"{source}: rule {number}, {error}") from None
    return tuple(rules)


def _check(policy: Policy, source: str) -> None:
    if not (1 <= len(policy.name) <= 60 and policy.name.isprintable()):
        raise ConfigError(f"{source}: `name` is {policy.name!r}, wanted 1 to 60 printable characters")
    if not 1 <= policy.size <= MAX_SIZE:
        raise ConfigError(f"{source}: `size` is {policy.size}, wanted 1 to {MAX_SIZE}")
    for name in ("pool", "max_per_category"):
        if (value := getattr(policy, name)) is not None and value < 1:
            raise ConfigError(f"{source}: `{name}` is {value}, wanted at least 1")
    for name in ("diversity", "exploration"):
        if not 0.0 <= (share := getattr(policy, name)) <= 1.0:
            raise ConfigError(f"{source}: `{name}` is {share}, wanted 0 to 1")
    if not 0 <= policy.interests <= MAX_INTERESTS:
        raise ConfigError(f"{source}: `interests` is {policy.interests}, wanted 0 to {MAX_INTERESTS}")
    if not 0.0 < policy.fatigue <= 1.0:
        raise ConfigError(f"{source}: `fatigue` is {policy.fatigue}, wanted more than 0, at most 1")
    _check_weights(policy.channel_weights, source)


def _check_channels(names: Mapping[Any, Any], source: str) -> None:
    weighed = [channel.value for channel in Channel if channel is not Channel.FRESH]
    if Channel.FRESH.value in names:
        raise ConfigError(
            f"{source}: `channel_weights`: 'fresh' has no weight; `exploration` says how often it is shown"
        )
    if unknown := [name for name in names if name not in weighed]:
        raise ConfigError(f"{source}: `channel_weights`: no channel {unknown[0]!r}; there are {', '.join(weighed)}")
    for name, weight in names.items():
        if isinstance(weight, bool) or not isinstance(weight, (int, float)):
            raise ConfigError(f"{source}: the weight of {name!r} is {weight!r}, wanted a number of 0 or more")


def _check_weights(weights: Mapping[Any, float], source: str) -> None:
    for channel, weight in weights.items():
        if not (math.isfinite(weight) and weight >= 0.0):
            raise ConfigError(f"{source}: the weight of {channel.value!r} is {weight}, wanted a number of 0 or more")
    if not any(weights.values()):
        raise ConfigError(f"{source}: `channel_weights` gives no channel any weight, so nothing would be recommended")
