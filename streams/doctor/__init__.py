"""Looks at everything that Upwell needs and says what is wrong, and what to do about it. Nothing is changed.

    settings ─► environment ─► policy ─► machine (versions, directories, disk, files, locks) ─► model
             ─► cluster (broker, clock)

With `probe` one record is written to a topic made for it, which is the only way to compare the clocks exactly.
"""

import os

from streams.doctor.cluster import examine_cluster
from streams.doctor.environment import examine_environment
from streams.doctor.finding import Finding, Verdict
from streams.doctor.machine import examine_machine
from streams.doctor.model import examine_model
from streams.doctor.policy import examine_policy
from streams.settings import KafkaSettings, Settings

__all__ = ["Finding", "Verdict", "examine"]


async def examine(settings: Settings, kafka: KafkaSettings, *, probe: bool = False) -> list[Finding]:
    """Everything, in the order in which it is needed.

    Args:
        settings: of the shop.
        kafka: how to reach its cluster.
        probe: measure the clock with a record on a topic of its own, which is deleted afterwards.
    """
    return [
        *examine_environment(os.environ),
        *examine_policy(settings),
        *examine_machine(settings),
        *examine_model(settings),
        *await examine_cluster(settings, kafka, probe=probe),
    ]
