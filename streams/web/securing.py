"""What `upwell serve` is secured with: API keys, tokens, TLS; and what it has to be, where others can reach it."""

import ssl
from dataclasses import dataclass

from streams.errors import ConfigError
from streams.hosts import is_loopback
from streams.settings import ApiSettings
from streams.web.keys import Keyring
from streams.web.tokens import Tokens, Wanted


@dataclass(frozen=True, slots=True)
class Secured:
    """As far as there are any."""

    keyring: Keyring | None = None
    tokens: Tokens | None = None
    tls: ssl.SSLContext | None = None


def secured(api: ApiSettings) -> Secured:
    """Keys, tokens and TLS, as the settings say.

    Raises:
        ConfigError: they cannot be used, or the address asks for more of them.
    """
    found = Secured(Keyring(api.keys_file) if api.keys_file else None, _tokens(api), _tls(api))
    if not is_loopback(api.host):
        if found.keyring is None and found.tokens is None:
            raise ConfigError(
                f"{api.host} can be reached from elsewhere, and without API keys anybody could read and erase "
                "everything: make keys (`upwell keys new`) and name their file with UPWELL_API_KEYS_FILE, "
                "or stay on 127.0.0.1"
            )
        if found.tls is None and not api.tls_elsewhere:
            raise ConfigError(
                f"API keys would travel to {api.host} in the clear: set UPWELL_API_CERTFILE and UPWELL_API_KEYFILE, "
                "or UPWELL_API_TLS_ELSEWHERE=true where a proxy in front ends TLS"
            )
    return found


def _tokens(api: ApiSettings) -> Tokens | None:
    if api.jwt_keys_file is None:
        return None
    if not api.jwt_audience:
        raise ConfigError(
            "UPWELL_API_JWT_AUDIENCE is not set: without it, tokens that were made for other services would be taken"
        )
    algorithms = tuple(name.strip() for name in api.jwt_algorithms.split(",") if name.strip())
    return Tokens(api.jwt_keys_file, Wanted(algorithms, api.jwt_audience, api.jwt_issuer, api.jwt_scope_claim))


def _tls(api: ApiSettings) -> ssl.SSLContext | None:
    if api.certfile is None and api.keyfile is None:
        return None
    if api.certfile is None or api.keyfile is None:
        raise ConfigError("UPWELL_API_CERTFILE and UPWELL_API_KEYFILE belong together: set both")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(api.certfile, api.keyfile, lambda: "")
    except OSError as error:  # ssl.SSLError is one
        raise ConfigError(
            f"UPWELL_API_CERTFILE and UPWELL_API_KEYFILE cannot be used ({error.strerror or type(error).__name__})"
        ) from None
    return context
