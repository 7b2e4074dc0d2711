"""The contract beside a live topic: every way to differ is put in words that say what to do."""

from dataclasses import replace

import pytest

from streams.admin import Difference, LiveTopic, compare, explain
from streams.cli.topics import kept
from streams.topics import Topic, topics

CONTRACT = topics("books", 8)


def live(topic: Topic) -> LiveTopic:
    return LiveTopic(topic.name, topic.partitions, replicas=1, config=topic.broker_config())


def test_a_topic_as_it_should_be_has_no_differences() -> None:
    assert [difference for topic in CONTRACT for difference in compare(topic, live(topic))] == []


def test_a_missing_topic_is_one_difference() -> None:
    (difference,) = compare(CONTRACT.events, None)
    assert str(difference) == "books.events.v1 does not exist"


def test_partitions_policy_and_retention_are_compared() -> None:
    wrong = replace(
        live(CONTRACT.recommendations), partitions=3, config={"cleanup.policy": "compact", "retention.ms": "1000"}
    )
    assert [str(difference) for difference in compare(CONTRACT.recommendations, wrong)] == [
        "books.recommendations.v1: partitions 3, wanted 8",
        "books.recommendations.v1: cleanup.policy compact, wanted delete",
        "books.recommendations.v1: retention.ms 1000, wanted 604800000",
    ]


def test_the_retention_of_a_compacted_topic_does_not_matter() -> None:
    topic = CONTRACT.catalogue
    assert compare(topic, replace(live(topic), config={"cleanup.policy": "compact", "retention.ms": "1000"})) == []


def test_what_a_cluster_does_not_tell_is_passed_over() -> None:
    assert compare(CONTRACT.events, replace(live(CONTRACT.events), config={})) == []


def test_a_setting_of_the_topic_itself_is_compared() -> None:
    topic = replace(CONTRACT.events, config=(("segment.ms", "1000"),))
    (difference,) = compare(topic, replace(live(topic), config={"segment.ms": "5"}))
    assert str(difference) == "books.events.v1: segment.ms 5, wanted 1000"


@pytest.mark.parametrize(
    ("setting", "advice"),
    [(None, "upwell topics create"), ("partitions", "UPWELL_PARTITIONS"), ("retention.ms", "kafka-configs.sh")],
)
def test_each_kind_of_difference_comes_with_its_advice(setting: str | None, advice: str) -> None:
    others = {"upwell topics create", "UPWELL_PARTITIONS", "kafka-configs.sh"} - {advice}
    text = explain([Difference("books.events.v1", setting, "4", "8")])
    assert advice in text
    assert not any(other in text for other in others)


def test_what_many_topics_have_in_common_is_said_once() -> None:
    missing = explain(difference for topic in CONTRACT for difference in compare(topic, None)).splitlines()
    assert missing[1] == "  books.events.v1, books.catalogue.v1, books.embeddings.v1 and 16 more do not exist"
    assert "UPWELL_SHOP" in missing[2]
    narrow = [compare(topic, replace(live(topic), partitions=99)) for topic in CONTRACT]
    _, first, *_ = explain(difference for found in narrow for difference in found).splitlines()
    assert first.startswith("  books.events.v1, books.catalogue.v1, books.embeddings.v1 and ")
    assert first.endswith(" more: partitions 99, wanted 8")
    assert len(explain([Difference(f"{name}.v1", None, "", "") for name in "abc"]).splitlines()) == 5


def test_how_long_records_are_kept_is_said_in_words() -> None:
    said = {topic.name.split(".")[1]: kept(topic) for topic in CONTRACT}
    assert said["events"] == "forever"
    assert said["catalogue"] == "newest of each key"
    assert said["recommendations"] == "7 days"


def test_names_are_unique_and_start_with_the_shop() -> None:
    names = [topic.name for topic in CONTRACT]
    assert len(set(names)) == len(names) == 19
    assert all(name.startswith("books.") and name.endswith(".v1") for name in names)


def test_topics_keyed_alike_have_the_same_partitions() -> None:
    """A shopper's row and recommendation stay on the partition of the shopper's events."""
    for group in (
        ("events", "merges", "profiles", "recommendations"),
        ("catalogue", "embeddings"),
        ("questions", "answers"),
    ):
        assert len({getattr(CONTRACT, name).partitions for name in group}) == 1


def test_each_table_has_one_changelog() -> None:
    tables = [topic.table for topic in CONTRACT if topic.table]
    assert len(set(tables)) == len(tables)
    for table in tables:
        assert CONTRACT.by_table(table).compacted
    with pytest.raises(KeyError):
        CONTRACT.by_table("nothing")


def test_a_record_that_just_fits_its_topic_fits_the_dead_letters_with_its_reason() -> None:
    default = 1_048_588  # Kafka's `max.message.bytes`
    largest = [
        int(topic.broker_config().get("max.message.bytes", default)) for topic in CONTRACT if topic != CONTRACT.dlq
    ]
    assert int(CONTRACT.dlq.broker_config()["max.message.bytes"]) > max(largest) + 10_000
