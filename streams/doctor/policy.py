"""The policy's file: can workers make recommendations by it?"""

from collections.abc import Iterator

from streams import policies
from streams.doctor.finding import Finding, fail, ok
from streams.errors import ConfigError
from streams.settings import Settings


def examine_policy(settings: Settings) -> Iterator[Finding]:
    """The file that the settings name; nothing without one."""
    if settings.policy_file is None:
        return
    try:
        policy = policies.of(settings)
    except ConfigError as error:
        yield fail("policy", str(error).partition("\n")[0], "mend UPWELL_POLICY_FILE: see docs/policies.md")
        return
    yield ok("policy", f"{policy.name} from {settings.policy_file}: {len(policy.rules)} rules")
