"""JSON Web Tokens (RFC 7519) of somebody else's making: who signed them says who may do what.

A token is taken if it is signed with a key of ours, by an algorithm of ours, for us (`aud`), by whom we trust (`iss`,
if one is set), and has not run out (`exp`, which it must have). Its scopes are those of API keys (RFC 8693, 4.2).
What the header of a token says of algorithms and keys chooses among ours, and nothing else (RFC 8725).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from streams.errors import ConfigError
from streams.web.keys import Key, Scope
from streams.web.reloading import Reloaded

ALGORITHMS = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"})
"""Signatures by a private key that is not here. HMAC would make whoever checks tokens able to make them."""

LEEWAY_S = 30
"""So far clocks may be apart."""

_VARIABLE = "UPWELL_API_JWT_KEYS_FILE"
_ONLY = ""
"""Id of a key that stands alone, in a PEM file."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a token has to say.

    Args:
        algorithms: of signatures, of `ALGORITHMS`.
        audience: who we are.
        issuer: who it has to be from; None for whoever has a key of ours.
        claim: where its scopes are: words in a text, or a list.
    """

    algorithms: tuple[str, ...]
    audience: str
    issuer: str | None = None
    claim: str = "scope"


class Tokens:
    """Looks at tokens.

    Args:
        path: of the keys: a JSON Web Key Set (RFC 7517), or one public key in PEM.
        wanted: what a token has to say.

    Raises:
        ConfigError: PyJWT is not installed; the file cannot be used; an algorithm is not one of ours.
    """

    def __init__(self, path: Path, wanted: Wanted) -> None:
        try:
            import jwt
        except ImportError:
            raise ConfigError(f"{_VARIABLE} needs PyJWT: pip install 'upwell[jwt]'") from None
        if not wanted.algorithms or not set(wanted.algorithms) <= ALGORITHMS:
            raise ConfigError(f"UPWELL_API_JWT_ALGORITHMS: choose from {', '.join(sorted(ALGORITHMS))}")
        self._jwt = jwt
        self._wanted = wanted
        self._keys = Reloaded(path, self._parse, _VARIABLE)

    def find(self, token: str) -> Key | None:
        """Who a token speaks for, with their scopes; None for one that is not taken."""
        wanted = self._wanted
        try:
            header = self._jwt.get_unverified_header(token)
            key = self._key(header)
            if key is None:
                return None
            claims: dict[str, Any] = self._jwt.decode(
                token,
                key,
                algorithms=list(wanted.algorithms),
                audience=wanted.audience,
                issuer=wanted.issuer,
                leeway=LEEWAY_S,
                options={"require": ["exp", "aud", *(["iss"] if wanted.issuer else [])]},
            )
        except (self._jwt.PyJWTError, ValueError, TypeError):  # the last two: what claims to be a token may be anything
            return None
        holder = claims.get("client_id") or claims.get("azp") or claims.get("sub") or ""
        return Key(f"token {holder}", _scopes(claims.get(wanted.claim)), b"")

    def _key(self, header: Mapping[str, Any]) -> Any:
        keys = self._keys.now
        if "kid" in header:
            return keys.get(header["kid"], keys.get(_ONLY))
        return next(iter(keys.values())) if len(keys) == 1 else None

    def _parse(self, text: str) -> dict[str, Any]:
        """Keys by id."""
        try:
            if not text.lstrip().startswith("{"):
                from cryptography.hazmat.primitives.serialization import load_pem_public_key

                return {_ONLY: load_pem_public_key(text.encode())}
            found = {key.key_id or _ONLY: key for key in self._jwt.PyJWKSet.from_json(text).keys}
        except (self._jwt.PyJWTError, ValueError, TypeError, AttributeError) as error:
            raise ConfigError(
                f"{_VARIABLE} is neither a JSON Web Key Set nor a public key in PEM ({type(error).__name__})"
            ) from None
        if any(key.key_type == "oct" or "d" in key._jwk_data for key in found.values()):
            raise ConfigError(f"{_VARIABLE} holds a secret or a private key: wanted public keys")
        return found


def _scopes(claim: object) -> frozenset[Scope]:
    words = claim.split() if isinstance(claim, str) else claim if isinstance(claim, list) else []
    known = {scope.value: scope for scope in Scope}
    return frozenset(known[word] for word in words if isinstance(word, str) and word in known)
