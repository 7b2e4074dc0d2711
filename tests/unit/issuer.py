"""Somebody who signs JSON Web Tokens, for tests."""

import json
import time
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from streams.web.tokens import Wanted

WANTED = Wanted(("ES256",), "https://shop.example", "https://login.example")


class Issuer:
    """Signs with one key (ES256)."""

    def __init__(self, kid: str = "one") -> None:
        self.kid = kid
        self.key = ec.generate_private_key(ec.SECP256R1())

    def jwk(self, **changes: Any) -> dict[str, Any]:
        """The public key."""
        found = jwt.get_algorithm_by_name("ES256").to_jwk(self.key.public_key(), as_dict=True)
        return {**found, "kid": self.kid, "alg": "ES256", "use": "sig", **changes}

    def jwks(self, *others: dict[str, Any]) -> str:
        """A set of keys."""
        return json.dumps({"keys": [self.jwk(), *others]})

    def pem(self) -> bytes:
        """The public key."""
        return self.key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    def token(self, *, headers: dict[str, Any] | None = None, **changes: Any) -> str:
        """A token that is good for five minutes, changed by keyword; a None drops the claim."""
        claims = {
            "aud": WANTED.audience,
            "iss": WANTED.issuer,
            "exp": int(time.time()) + 300,
            "sub": "website",
            "scope": "query",
            **changes,
        }
        left = {name: value for name, value in claims.items() if value is not None}
        return jwt.encode(left, self.key, "ES256", headers={"kid": self.kid} if headers is None else headers)
