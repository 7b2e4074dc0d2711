"""How many bytes topics have on the brokers' disks: Kafka's DescribeLogDirs, which aiokafka does not have.

https://kafka.apache.org/protocol#The_Messages_DescribeLogDirs, version 1.
"""

from collections import Counter
from collections.abc import Collection
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import Array, Boolean, Int16, Int32, Int64, Schema, String

_KEY = 35


class _Response(Response):  # type: ignore[misc]
    API_KEY = _KEY
    API_VERSION = 1
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "results",
            Array(
                ("error_code", Int16),
                ("log_dir", String("utf-8")),
                (
                    "topics",
                    Array(
                        ("name", String("utf-8")),
                        (
                            "partitions",
                            Array(
                                ("partition_index", Int32),
                                ("partition_size", Int64),
                                ("offset_lag", Int64),
                                ("is_future_key", Boolean),
                            ),
                        ),
                    ),
                ),
            ),
        ),
    )


class _Struct(RequestStruct):  # type: ignore[misc]
    API_KEY = _KEY
    API_VERSION = 1
    RESPONSE_TYPE = _Response
    SCHEMA = Schema(("topics", Array(("topic", String("utf-8")), ("partitions", Array(Int32)))))


class _DescribeLogDirs(Request[_Struct]):  # type: ignore[misc]
    API_KEY = _KEY

    def __init__(self, topics: list[tuple[str, list[int]]]) -> None:
        self._topics = topics

    def build(self, request_struct_class: type[_Struct]) -> Any:
        return request_struct_class(self._topics)


async def sizes(client: AIOKafkaAdminClient, topics: Collection[tuple[str, int]]) -> dict[str, int] | None:
    """Bytes by topic, one copy of each partition counted (the largest); None where a broker does not tell.

    Args:
        client: connected.
        topics: names, with how many partitions they have.
    """
    asked = [(name, list(range(partitions))) for name, partitions in topics]
    largest: Counter[tuple[str, int]] = Counter()
    try:
        brokers = [broker["node_id"] for broker in (await client.describe_cluster())["brokers"]]
        for node in brokers:
            answer = await client._send_request(_DescribeLogDirs(asked), node)
            for _, _, found in answer.results:
                for name, partitions in found:
                    for number, size, _, _ in partitions:
                        largest[name, number] = max(largest[name, number], size)
    except (KafkaError, NotImplementedError):  # not allowed, or not known to this broker
        return None
    by_topic: Counter[str] = Counter()
    for (name, _), size in largest.items():
        by_topic[name] += size
    return dict(by_topic) or None
