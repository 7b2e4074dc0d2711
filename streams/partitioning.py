"""Where the events of a shopper are: the partition that their producers choose by the key.

A login names a user whose events may be on another partition, where nobody has seen them yet: only the producers'
partitioner tells where that is.
"""

from enum import StrEnum
from zlib import crc32

from aiokafka.partitioner import murmur2


class Partitioner(StrEnum):
    """How producers of events choose a partition by the key."""

    MURMUR2 = "murmur2"
    """Java, aiokafka, kafka-python; librdkafka with `partitioner=murmur2_random`."""
    CRC32 = "crc32"
    """librdkafka and what is built on it, by default."""


def partition_of(shopper: str, partitions: int, partitioner: Partitioner = Partitioner.MURMUR2) -> int:
    """The partition of a shopper's events among so many."""
    key = shopper.encode()
    hashed: int = murmur2(key) & 0x7FFFFFFF if partitioner is Partitioner.MURMUR2 else crc32(key)
    return hashed % partitions
