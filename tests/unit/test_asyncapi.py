"""The generated contract is valid AsyncAPI and JSON Schema, says what the code does, and is committed as it is."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
import yaml
from click.testing import CliRunner

from streams import asyncapi, samples
from streams.cli.contract import contract
from streams.core.events import WEIGHTS
from streams.engine.effects import RejectReason
from streams.errors import ContractError
from streams.records import RECORDS, DeadLetter
from streams.topics import topics

ROOT = Path(__file__).parents[2]
JSON_RECORDS = sorted(set(RECORDS) - {DeadLetter.__name__})


def _document() -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(asyncapi.files(topics())["asyncapi.yaml"])
    return document


def test_committed_files_are_current() -> None:
    stale = asyncapi.stale(ROOT / "docs", topics())
    assert not stale, f"{stale} differ from the code: run `upwell contract write docs` and commit what it writes"


def test_no_schema_is_left_over_from_a_removed_record() -> None:
    generated = {Path(name).name for name in asyncapi.files(topics()) if name.startswith("schemas/")}
    assert {path.name for path in (ROOT / "docs/schemas").iterdir()} == generated


def test_document_is_valid_asyncapi_3() -> None:
    schema = json.loads((Path(__file__).parent / "data/asyncapi-3.0.0.schema.json").read_text())
    jsonschema.Draft7Validator.check_schema(schema)
    validator = jsonschema.Draft7Validator(schema)
    assert [error.message for error in validator.iter_errors(_document())] == []
    broken = _document()
    broken["channels"]["events"]["bindings"]["kafka"]["partitions"] = "four"
    assert not validator.is_valid(broken), "the schema accepts anything: it is not the AsyncAPI schema any more"


def test_every_reference_in_the_document_leads_somewhere() -> None:
    document = _document()
    references = _references(document)
    assert references
    for reference in references:
        node = document
        for part in reference.removeprefix("#/").split("/"):
            assert part in node, reference
            node = node[part]


def test_document_names_every_topic_with_its_kafka_configuration() -> None:
    channels = {channel["address"]: channel["bindings"]["kafka"] for channel in _document()["channels"].values()}
    for topic in topics():
        kafka = channels.pop(topic.name)
        assert kafka["partitions"] == topic.partitions
        written = {
            key: ",".join(value) if isinstance(value, list) else str(value)
            for key, value in kafka["topicConfiguration"].items()
        }
        assert written == topic.broker_config()
    assert not channels


def test_shop_and_partitions_reach_the_document() -> None:
    channel = asyncapi.document(topics("toys", 12))["channels"]["events"]
    assert channel["address"] == "toys.events.v1"
    assert channel["bindings"]["kafka"]["partitions"] == 12


@pytest.mark.parametrize("record", JSON_RECORDS)
def test_samples_pass_both_the_struct_and_its_schema(record: str) -> None:
    schema = asyncapi.json_schema(record)
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    known = samples.of(record)
    assert known, f"streams/samples.py has no {record}"
    for _, sample in known:
        wire = msgspec.json.encode(sample)
        assert msgspec.json.decode(wire, type=RECORDS[record]) == sample
        validator.validate(json.loads(wire))


@pytest.mark.parametrize("record", JSON_RECORDS)
def test_schema_and_struct_refuse_the_same_omissions(record: str) -> None:
    validator = jsonschema.Draft202012Validator(asyncapi.json_schema(record))
    whole = json.loads(msgspec.json.encode(samples.of(record)[0][1]))
    for field in whole:
        without = {name: value for name, value in whole.items() if name != field}
        try:
            msgspec.convert(without, type=RECORDS[record])
        except msgspec.ValidationError:
            assert not validator.is_valid(without), field
        else:
            assert validator.is_valid(without), field


def test_dead_letter_schema_describes_text_headers() -> None:
    schema = asyncapi.json_schema("DeadLetter")
    fields = msgspec.structs.fields(DeadLetter)
    assert set(schema["required"]) == {f"upwell.{field.name}" for field in fields}
    jsonschema.Draft202012Validator(schema).validate(
        {
            "upwell.reason": "invalid",
            "upwell.detail": "`item` is missing",
            "upwell.topic": "shop.events.v1",
            "upwell.partition": "0",
            "upwell.offset": "17",
            "upwell.timestamp": "-1",
        }
    )


def test_topics_page_shows_every_topic_and_the_samples_as_they_are() -> None:
    page = (ROOT / "docs/topics.md").read_text()
    for topic in topics():
        assert f"`{topic.name}`" in page
    for name, sample in samples.SAMPLES.items():
        text = msgspec.json.format(msgspec.json.encode(sample), indent=2).decode()
        assert f"```json\n{text}\n```" in page, f"docs/topics.md does not show the sample {name!r} as it is:\n{text}"
    for field in msgspec.structs.fields(DeadLetter):
        assert f"`upwell.{field.name}`" in page
    for event, weight in WEIGHTS.items():
        assert f"\n| `{event.value}` | {weight:g} | " in page
    for reason in RejectReason:
        assert f"\n| `{reason.value}` | " in page


def test_write_then_check(tmp_path: Path) -> None:
    run = CliRunner()
    written = run.invoke(contract, ["write", str(tmp_path)], catch_exceptions=False)
    assert written.output.split() == [str(tmp_path / name) for name in asyncapi.files(topics())]
    assert "up to date" in run.invoke(contract, ["check", str(tmp_path)], catch_exceptions=False).output
    (tmp_path / "asyncapi.yaml").write_text("asyncapi: 2.0.0\n")
    (tmp_path / "schemas/event.json").unlink()
    refused = run.invoke(contract, ["check", str(tmp_path)]).exception
    assert isinstance(refused, ContractError)
    assert "asyncapi.yaml, schemas/event.json" in str(refused)
    assert f"upwell contract write {tmp_path}" in str(refused)


def _references(node: Any) -> list[str]:
    if isinstance(node, dict):
        own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
        return own + [found for value in node.values() for found in _references(value)]
    if isinstance(node, list):
        return [found for value in node for found in _references(value)]
    return []
