"""docs/topics.md names all that a recommendation says, and docs/concepts.md every channel."""

import re

import msgspec

from streams.core.coldstart import Stage
from streams.core.explain import REASONS, SLIGHT
from streams.core.policy import Channel
from streams.records import Cited, Reason, Recommendation, RecommendedItem
from streams.replicas import ENOUGH
from tests.documents import ROOT

TOPICS = (ROOT / "docs/topics.md").read_text()
PART = TOPICS.partition("\n## Recommendations:")[2].partition("\n## ")[0]


def test_every_field_of_a_recommendation_is_told() -> None:
    for record in (Recommendation, RecommendedItem, Reason, Cited):
        for field in msgspec.structs.fields(record):
            assert re.search(rf"`{field.encode_name}`|\"{field.encode_name}\":", PART), field.encode_name
    for optional in ("propensity", "because"):
        assert f"| `{optional}` |" in PART


def test_every_channel_and_stage_is_told() -> None:
    for name in (*Channel, *Stage):
        assert f"`{name.value}`" in PART
    concepts = (ROOT / "docs/concepts.md").read_text().partition("| channel |")[2].partition("\n\n")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", concepts, re.MULTILINE)) == set(Channel)


def test_numbers_are_those_of_the_code() -> None:
    assert REASONS == 3
    assert "up to three channels" in PART
    assert SLIGHT == 1 / 20
    assert "none with less than a twentieth" in PART
    assert f"at least {ENOUGH} items" in TOPICS
