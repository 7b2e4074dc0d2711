"""`KAFKA_*`: the cluster, by the names that Kafka's users know, and what they come to for aiokafka's clients."""

import ssl
from enum import StrEnum
from pathlib import Path
from typing import Any

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from streams.errors import ConfigError, unread
from streams.hosts import is_loopback


class SecurityProtocol(StrEnum):
    """How clients talk to the brokers."""

    PLAINTEXT = "PLAINTEXT"
    SSL = "SSL"
    SASL_PLAINTEXT = "SASL_PLAINTEXT"
    SASL_SSL = "SASL_SSL"


class SaslMechanism(StrEnum):
    """SASL mechanisms that aiokafka and Faust both speak without further libraries."""

    PLAIN = "PLAIN"
    SCRAM_SHA_256 = "SCRAM-SHA-256"
    SCRAM_SHA_512 = "SCRAM-SHA-512"


class KafkaSettings(BaseSettings):
    """`KAFKA_*`: an existing cluster. Without `KAFKA_BOOTSTRAP_SERVERS` Upwell starts its own broker."""

    model_config = SettingsConfigDict(env_prefix="KAFKA_", extra="ignore", frozen=True)

    bootstrap_servers: str | None = Field(None, description="host:port[,host:port…] of an existing cluster")
    security_protocol: SecurityProtocol = Field(
        SecurityProtocol.PLAINTEXT, description="PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL"
    )
    sasl_mechanism: SaslMechanism = Field(
        SaslMechanism.SCRAM_SHA_512, description="PLAIN, SCRAM-SHA-256, SCRAM-SHA-512"
    )
    sasl_username: str | None = Field(None, description="SASL user")
    sasl_password: SecretStr | None = Field(None, description="SASL password")
    sasl_password_file: Path | None = Field(None, description="file that holds the SASL password")
    ssl_cafile: Path | None = Field(None, description="PEM file of the CA to trust (default: the system's)")
    ssl_certfile: Path | None = Field(None, description="PEM client certificate, for mTLS")
    ssl_keyfile: Path | None = Field(None, description="PEM client key, for mTLS")
    ssl_key_password: SecretStr | None = Field(None, description="password of the client key")
    allow_plaintext_credentials: bool = Field(
        False, description="let SASL_PLAINTEXT send the password to brokers on other machines, for all to read"
    )

    @model_validator(mode="after")
    def _sealed(self) -> "KafkaSettings":
        if self.security_protocol is SecurityProtocol.SASL_PLAINTEXT and not self.allow_plaintext_credentials:
            away = [address for address in (self.bootstrap_servers or "").split(",") if not _is_here(address)]
            if away:
                raise ValueError(
                    "KAFKA_SECURITY_PROTOCOL=SASL_PLAINTEXT would send the password in the clear to other machines "
                    "(KAFKA_BOOTSTRAP_SERVERS): use SASL_SSL, or, on a network that you trust, "
                    "KAFKA_ALLOW_PLAINTEXT_CREDENTIALS=true"
                )
        return self

    @model_validator(mode="after")
    def _complete(self) -> "KafkaSettings":
        if self.security_protocol.startswith("SASL") and not (self.sasl_username and self._password()):
            raise ValueError(
                f"KAFKA_SECURITY_PROTOCOL={self.security_protocol} needs KAFKA_SASL_USERNAME and "
                "KAFKA_SASL_PASSWORD (or KAFKA_SASL_PASSWORD_FILE)"
            )
        return self

    def _password(self) -> str | None:
        if self.sasl_password is not None:
            return self.sasl_password.get_secret_value()
        if self.sasl_password_file is not None:
            try:
                return self.sasl_password_file.read_text().rstrip("\n")
            except (OSError, UnicodeDecodeError) as error:
                raise ValueError(f"KAFKA_SASL_PASSWORD_FILE cannot be read: {unread(error)}") from None
        return None

    def ssl_context(self) -> ssl.SSLContext | None:
        """The TLS context, or None where the protocol has no TLS.

        Raises:
            ConfigError: a certificate or key cannot be read, or they do not fit together.
        """
        if self.security_protocol not in (SecurityProtocol.SSL, SecurityProtocol.SASL_SSL):
            return None
        key_password = self.ssl_key_password.get_secret_value() if self.ssl_key_password else ""
        try:
            context = ssl.create_default_context(cafile=str(self.ssl_cafile) if self.ssl_cafile else None)
            if self.ssl_certfile:
                # An empty password rather than none: OpenSSL would ask for a missing one at the terminal.
                context.load_cert_chain(self.ssl_certfile, self.ssl_keyfile, key_password)
        except OSError as error:  # ssl.SSLError is one
            raise ConfigError(
                f"the TLS files cannot be used ({error.strerror or type(error).__name__}): check KAFKA_SSL_CAFILE, "
                "KAFKA_SSL_CERTFILE, KAFKA_SSL_KEYFILE and KAFKA_SSL_KEY_PASSWORD"
            ) from None
        return context

    def client_options(self) -> dict[str, Any]:
        """Keyword arguments for any aiokafka client, `bootstrap_servers` apart."""
        options: dict[str, Any] = {"security_protocol": self.security_protocol.value}
        if (context := self.ssl_context()) is not None:
            options["ssl_context"] = context
        if self.security_protocol.startswith("SASL"):
            options["sasl_mechanism"] = self.sasl_mechanism.value
            options["sasl_plain_username"] = self.sasl_username
            options["sasl_plain_password"] = self._password()
        return options


def _is_here(address: str) -> bool:
    """Whether host:port is on this machine's loopback interface."""
    host = address.strip().rpartition(":")[0].strip("[]")
    return not address.strip() or is_loopback(host)
