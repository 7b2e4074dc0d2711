"""The topics that `create_topics` makes are the ones that the AsyncAPI document describes."""

from typing import Any

import yaml

from streams import asyncapi
from streams.admin import live_topics
from streams.settings import KafkaSettings
from streams.topics import Topics


async def test_live_topics_are_what_the_document_says(
    shop_topics: Topics, bootstrap: str, kafka: KafkaSettings
) -> None:
    document: dict[str, Any] = yaml.safe_load(asyncapi.files(shop_topics)["asyncapi.yaml"])
    described = {channel["address"]: channel["bindings"]["kafka"] for channel in document["channels"].values()}
    live = await live_topics(bootstrap, kafka, described)
    assert live.keys() == described.keys()
    for name, wanted in described.items():
        assert live[name].partitions == wanted["partitions"]
        settings = {
            setting: ",".join(value) if isinstance(value, list) else str(value)
            for setting, value in wanted["topicConfiguration"].items()
        }
        told = {setting: value for setting, value in live[name].config.items() if setting in settings}
        # A broker that tells no configuration at all (noida-db) cannot contradict the document.
        assert not told or told == settings
