"""The formats that the settings say, and the registry that they name."""

import importlib.util
import ssl
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import SecretStr

from streams.errors import ConfigError, unread
from streams.formats.base import Format
from streams.formats.reading import Formats, Subject
from streams.formats.registry import Access, Registry
from streams.hosts import is_loopback
from streams.settings import Settings


def formats_of(settings: Settings) -> Formats:
    """The formats of the topics that a shop writes.

    Raises:
        ConfigError: the registry's address or credentials cannot be used, or what reads Avro is not installed.
    """
    formats = {
        Subject.EVENTS: settings.events_format,
        Subject.CATALOGUE: settings.catalogue_format,
        Subject.QUESTIONS: settings.questions_format,
    }
    access = _access(settings)
    if access is None:
        for subject, wanted in formats.items():
            if wanted is Format.AVRO:
                raise ConfigError(
                    f"UPWELL_{subject.upper()}_FORMAT=avro needs a schema registry: set UPWELL_REGISTRY_URL"
                )
        return Formats(formats)
    if importlib.util.find_spec("fastavro") is None:
        raise ConfigError("UPWELL_REGISTRY_URL is set, and fastavro is not installed: pip install 'upwell[avro]'")
    return Formats(formats, Registry(access))


def _access(settings: Settings) -> Access | None:
    if settings.registry_url is None:
        return None
    try:
        url = urlsplit(settings.registry_url)
        host = url.hostname
    except ValueError:
        url, host = urlsplit(""), None
    if url.scheme not in ("http", "https") or not host or url.username or url.query or url.fragment:
        raise ConfigError(
            "UPWELL_REGISTRY_URL is not http(s)://host[:port][/path]; credentials go into UPWELL_REGISTRY_USER and "
            "UPWELL_REGISTRY_PASSWORD"
        )
    password = _secret("PASSWORD", settings.registry_password, settings.registry_password_file)
    token = _secret("TOKEN", settings.registry_token, settings.registry_token_file)
    if token is not None and settings.registry_user is not None:
        raise ConfigError("UPWELL_REGISTRY_USER and UPWELL_REGISTRY_TOKEN are both set: a registry wants one of them")
    if (settings.registry_user is None) != (password is None):
        raise ConfigError("UPWELL_REGISTRY_USER and UPWELL_REGISTRY_PASSWORD belong together: set both")
    secret = password is not None or token is not None
    if secret and url.scheme == "http" and not (is_loopback(host) or settings.registry_allow_plaintext_credentials):
        raise ConfigError(
            "the credentials of the schema registry would travel in the clear: use an https:// UPWELL_REGISTRY_URL, "
            "or, on a network that you trust, UPWELL_REGISTRY_ALLOW_PLAINTEXT_CREDENTIALS=true"
        )
    return Access(settings.registry_url, settings.registry_user, password, token, _tls(settings.registry_cafile))


def _secret(name: str, value: SecretStr | None, file: Path | None) -> str | None:
    if value is not None or file is None:
        return None if value is None else value.get_secret_value()
    try:
        return file.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"UPWELL_REGISTRY_{name}_FILE cannot be read: {unread(error)}") from None


def _tls(cafile: Path | None) -> ssl.SSLContext | None:
    if cafile is None:
        return None
    try:
        return ssl.create_default_context(cafile=str(cafile))
    except OSError as error:
        raise ConfigError(f"UPWELL_REGISTRY_CAFILE cannot be used: {unread(error)}") from None
