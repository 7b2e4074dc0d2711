"""Variables that look like settings and are none: most are misspelt, and what they were to change is as it was."""

import difflib
from collections.abc import Iterator, Mapping

from streams.configuration import kinds
from streams.doctor.finding import Finding, warn

_PREFIX = "UPWELL_"
_OTHERS = frozenset({"UPWELL_TAG", "UPWELL_EXTRA", "UPWELL_FAULT_ROUNDS", "UPWELL_FAULT_SEED"})
"""Of docker-compose.yml and `make faults`."""


def examine_environment(environment: Mapping[str, str]) -> Iterator[Finding]:
    """Names alone are looked at, and shown: a value may be a secret."""
    known = sorted(f"{kind.model_config['env_prefix']}{name}".upper() for kind in kinds() for name in kind.model_fields)
    for given in sorted(environment):
        name = given.upper()
        if not name.startswith(_PREFIX) or name in _OTHERS or name in known:
            continue
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.8)
        advice = f"{near[0]} is meant?" if near else "see docs/configuration.md, or unset it"
        yield warn("settings", f"{given} is no setting, so it changes nothing", advice)
