"""Settings, from the environment: `UPWELL_*` for Upwell, the names Kafka users know for the cluster.

Secrets come through the environment or a file named by `*_FILE`; they are never printed (`SecretStr`).
"""

import json
import os
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from streams.errors import ConfigError
from streams.formats.base import Format
from streams.kafka_settings import KafkaSettings, SaslMechanism, SecurityProtocol
from streams.partitioning import Partitioner

__all__ = ["ApiSettings", "KafkaSettings", "SaslMechanism", "SecurityProtocol", "Settings", "load", "load_api"]


def _xdg(variable: str, fallback: str) -> Path:
    return Path(os.environ.get(variable) or Path.home() / fallback) / "upwell"


class Settings(BaseSettings):
    """`UPWELL_*`: everything a worker can be told."""

    model_config = SettingsConfigDict(env_prefix="UPWELL_", extra="ignore", frozen=True)

    shop: str = Field(
        "shop", description="prefix of topic names and consumer groups", pattern=r"^[a-zA-Z0-9._-]{1,80}$"
    )
    partitions: int = Field(4, ge=1, le=1024, description="partitions of the keyed topics, when they are created")
    replication: int = Field(1, ge=1, le=9, description="replicas of the topics, when they are created")
    data_dir: Path = Field(
        default_factory=lambda: _xdg("XDG_STATE_HOME", ".local/state"), description="RocksDB tables, broker data"
    )
    cache_dir: Path = Field(default_factory=lambda: _xdg("XDG_CACHE_HOME", ".cache"), description="broker jars, models")

    model: str = Field(
        "all-MiniLM-L6-v2", description="encoder: a known model, a Hugging Face BERT directory, or `hashing`"
    )
    encode_batch: int = Field(64, ge=1, le=4096, description="catalogue records encoded at a time")
    encode_tokens: int | None = Field(
        None, ge=16, le=65_536, description="tokens of one run of the encoder on a CPU; unset: measured at the start"
    )
    require_gpu: bool = Field(False, description="fail unless the encoder runs on a GPU")
    item_text: str = Field(
        "title,brand,category,description",
        description="what an item's text is made of, in order: title, brand, category, attributes, description",
    )
    item_weights: Annotated[dict[str, float], NoDecode] = Field(
        default_factory=dict,
        description="JSON, parts of an item's vector beside its text (which weighs 1): category, brand, price, rating, "
        'available, image: {"category": 0.3}',
    )
    item_image_dim: int = Field(0, ge=0, le=4096, description="length of the producer's image vectors")

    recommend: int = Field(20, ge=1, le=200, description="items in a recommendation")
    policy: str = Field("default", description="name stamped on recommendations", pattern=r"^[a-zA-Z0-9._-]{1,40}$")
    policy_file: Path | None = Field(
        None, description="TOML or JSON file of the policy; its name and digest are stamped instead"
    )
    event_weights: Annotated[dict[str, float], NoDecode] = Field(
        default_factory=dict, description='JSON, changes to the event weights: {"view": 0.2}'
    )
    half_lives: Annotated[dict[str, float | None], NoDecode] = Field(
        default_factory=dict,
        description="JSON, changes to how fast what a shopper did fades: habits and impressions in days, intent in "
        'newer interactions, null for never: {"habits": 30}',
    )
    partitioner: Partitioner = Field(
        Partitioner.MURMUR2, description="how the producers of events and items choose a partition: murmur2 or crc32"
    )
    segments: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="attributes of events that tell of the shopper, for popularity by segment: age,country"
    )
    ranker_sampling: float = Field(
        0.2,
        ge=0.0,
        le=1.0,
        description="share of what shoppers do that the ranker learns from, once it has learnt from 20,000 "
        "moments; 0: it learns nothing",
    )
    ranker_rate: float = Field(0.1, gt=0.0, le=1.0, description="size of the ranker's steps")
    erasure_key: SecretStr | None = Field(
        None, description="secret of the erasure ledger's hashes; keep it for as long as the ledger"
    )
    pseudonym_keys_file: Path | None = Field(
        None, description="file with the keys of shoppers' pseudonyms (`upwell keys pseudonyms`); unset: none are made"
    )
    pseudonym_keys: SecretStr | None = Field(None, description="the same lines, where there is no file")
    max_event_bytes: int = Field(65_536, ge=256, description="larger event records are refused")
    max_item_bytes: int = Field(262_144, ge=256, description="larger catalogue records are refused")
    max_future_seconds: int = Field(
        86_400, ge=0, description="an event may be this far ahead of its record's timestamp"
    )

    events_format: Format = Field(Format.AUTO, description="of events: auto tells JSON, Avro and CloudEvents apart")
    catalogue_format: Format = Field(Format.AUTO, description="of catalogue items")
    questions_format: Format = Field(Format.AUTO, description="of questions")
    registry_url: str | None = Field(None, description="schema registry in Confluent's format, for Avro")
    registry_user: str | None = Field(None, description="user of the registry")
    registry_password: SecretStr | None = Field(None, description="password of the user")
    registry_password_file: Path | None = Field(None, description="file that holds the password")
    registry_token: SecretStr | None = Field(None, description="bearer token, instead of a user")
    registry_token_file: Path | None = Field(None, description="file that holds the token")
    registry_cafile: Path | None = Field(None, description="PEM file of the CA to trust (default: the system's)")
    registry_allow_plaintext_credentials: bool = Field(
        False, description="let an http:// registry on another machine get the credentials, for all to read"
    )

    answer_templates: Path | None = Field(
        None, description="folder of templates of one's own for answers: LANGUAGE/KIND.j2 (docs/answers.md)"
    )

    fetch_wait_ms: int = Field(20, ge=1, le=5_000, description="how long the broker may hold a fetch back to fill it")
    fetch_max_records: int = Field(2_000, ge=1, description="records in a micro-batch at most")
    session_timeout_s: float = Field(10.0, ge=3.0, description="a worker silent for so long loses its partitions")
    instance: str | None = Field(
        None,
        pattern=r"^[a-zA-Z0-9._-]{1,80}$",
        description="this worker's name, which no other has: a restart within the session timeout moves no partitions",
    )
    probe_port: int | None = Field(None, ge=0, le=65_535, description="serve /livez /readyz /metrics on this port")
    probe_host: str = Field(
        "127.0.0.1", description="address of the probes, which ask for no key; 0.0.0.0 in a container that is scraped"
    )
    traces: bool = Field(
        False, description="tell OpenTelemetry what becomes of events (extra `otel`; OTEL_* variables say where to)"
    )
    stall_timeout_s: float = Field(
        300.0, ge=10.0, description="a worker that consumes nothing for so long while the log grows ends itself"
    )
    failures_in_a_row: int = Field(
        100, ge=1, description="records a handler may fail on one after the other before nothing more is consumed"
    )
    rocksdb_cache_mb: int = Field(
        128,
        ge=8,
        description="memory of RocksDB in the whole process, MiB: block cache, half of it write buffers at most",
    )
    log_level: str = Field("INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$", description="DEBUG, INFO, WARNING, ERROR")

    @field_validator("event_weights", "half_lives", "item_weights", mode="before")
    @classmethod
    def _decoded(cls, given: object) -> object:
        if not isinstance(given, str):
            return given
        try:
            return json.loads(given)
        except (ValueError, RecursionError):  # json's own message would show a part of the value
            raise ValueError('not a JSON object such as {"name": 0.2}') from None

    @field_validator("segments", mode="before")
    @classmethod
    def _listed(cls, given: object) -> object:
        if not isinstance(given, str):
            return given
        names = [name.strip() for name in given.split(",") if name.strip()]
        if len(names) > 4 or len(set(names)) < len(names):
            raise ValueError("wanted up to 4 names of attributes, each once")
        return tuple(names)

    @field_validator("data_dir", "cache_dir")
    @classmethod
    def _absolute(cls, path: Path) -> Path:
        return path.expanduser().resolve()


class ApiSettings(BaseSettings):
    """`UPWELL_API_*`: what `upwell serve` can be told."""

    model_config = SettingsConfigDict(env_prefix="UPWELL_API_", extra="ignore", frozen=True)

    host: str = Field("127.0.0.1", description="address to listen on; other than loopback only with API keys")
    port: int = Field(8080, ge=0, le=65_535, description="port to listen on; 0 for a free one")
    keys_file: Path | None = Field(None, description="file with the API keys, one a line (`upwell keys new`)")
    certfile: Path | None = Field(None, description="PEM certificate chain, for TLS")
    keyfile: Path | None = Field(None, description="PEM key of the certificate")
    jwt_keys_file: Path | None = Field(
        None, description="JSON Web Key Set, or one public key in PEM: tokens signed by them are taken like API keys"
    )
    jwt_algorithms: str = Field("RS256,ES256,EdDSA", description="signatures of tokens that are taken")
    jwt_audience: str | None = Field(None, description="whom tokens have to be for (`aud`); needed for tokens")
    jwt_issuer: str | None = Field(None, description="whom tokens have to be from (`iss`), if it matters")
    jwt_scope_claim: str = Field("scope", description="where the scopes of a token are, in words or as a list")
    tls_elsewhere: bool = Field(
        False, description="something in front ends TLS: API keys may reach an address other than loopback in the clear"
    )
    rate: float = Field(100.0, gt=0, description="requests a second that one key may make")
    burst: int = Field(200, ge=1, description="requests that one key may make at once")
    concurrency: int = Field(64, ge=1, description="requests worked on at a time")
    queue: int = Field(256, ge=0, description="requests waiting for their turn; more are answered 503 at once")
    deadline_ms: int = Field(2_000, ge=1, description="a request not answered by then is answered 503 or 504")
    connections: int = Field(1_024, ge=1, description="connections at a time; more are answered 503 and closed")
    connections_each: int = Field(512, ge=1, description="connections of one address at a time")
    idle_s: float = Field(
        30.0,
        gt=0,
        description="a connection without a request, with one whose headers do not end, or whose client does not take "
        "its answer, is closed then",
    )
    max_body_bytes: int = Field(8_388_608, ge=1_024, description="larger request bodies are refused")


def load() -> tuple[Settings, KafkaSettings]:
    """Read the environment.

    Raises:
        ConfigError: naming every variable that is wrong, without its value.
    """
    settings, wrong = _read(Settings)
    kafka, wrong_too = _read(KafkaSettings)
    if settings is None or kafka is None:
        raise ConfigError("settings are wrong:\n" + "\n".join(f"  {line}" for line in wrong + wrong_too))
    return settings, kafka


def load_api() -> ApiSettings:
    """Read what `upwell serve` is told.

    Raises:
        ConfigError: naming every variable that is wrong, without its value.
    """
    settings, wrong = _read(ApiSettings)
    if settings is None:
        raise ConfigError("settings are wrong:\n" + "\n".join(f"  {line}" for line in wrong))
    return settings


Model = TypeVar("Model", bound=BaseSettings)


def _read(model: type[Model]) -> tuple[Model | None, list[str]]:
    """The settings of one kind, or one line for each variable that is wrong."""
    try:
        return model(), []
    except ValidationError as error:
        return None, [
            f"{_variable(model, problem['loc'])}: {problem['msg'].removeprefix('Value error, ')}"
            for problem in error.errors(include_input=False, include_url=False)
        ]


def _variable(model: type[BaseSettings], where: tuple[int | str, ...]) -> str:
    if not where:
        return "environment"
    name, *inside = map(str, where)
    return model.model_config["env_prefix"] + name.upper() + "".join(f"[{key}]" for key in inside)
