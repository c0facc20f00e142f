"""Authentication by access tokens of an OpenID Connect identity provider."""

import asyncio
import contextlib
import json
import threading
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from gateway_harness import MakeKey, Serve
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from fuze_gateway.auth import oidc

_AUDIENCE = "fuze"
_UNCHANGED = object()


@dataclass
class Issuer:
    """An identity provider that serves its keys over HTTP and issues tokens."""

    server: ThreadingHTTPServer
    keys: dict[str, Any] = field(default_factory=dict)
    requests: int = 0
    override: Any = field(default_factory=lambda: _UNCHANGED)
    """The response in place of the discovery document and the keys."""
    is_slow: bool = False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    def token(self, *, key_id: str = "rsa", algorithm: str = "RS256", **changes: object) -> str:
        claims = {
            "iss": self.url,
            "aud": _AUDIENCE,
            "sub": "ada",
            "roles": ["viewer"],
            "exp": time.time() + 60,
        } | changes
        stated = {name: value for name, value in claims.items() if value is not None}
        return jwt.encode(stated, self.keys[key_id], algorithm, headers={"kid": key_id})

    def jwks(self) -> dict[str, Any]:
        made = []
        for key_id, key in self.keys.items():
            algorithm = RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else ECAlgorithm
            public = json.loads(algorithm.to_jwk(key.public_key()))
            made.append(public | {"kid": key_id, "use": "sig"})
        return {"keys": made}


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            issuer.requests += 1
            discovered = {"issuer": issuer.url, "jwks_uri": f"{issuer.url}/keys"}
            is_discovery = self.path.startswith("/.well-known")
            response = discovered if is_discovery else issuer.jwks()
            body = json.dumps(
                response if issuer.override is _UNCHANGED else issuer.override
            ).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body) + 1000 * issuer.is_slow))
            self.end_headers()
            self.wfile.write(body)
            with contextlib.suppress(OSError):  # the client disconnected
                while issuer.is_slow:
                    self.wfile.write(b" ")
                    time.sleep(0.05)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        issuer = Issuer(server)
        issuer.keys["rsa"] = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        issuer.keys["ec"] = ec.generate_private_key(ec.SECP256R1())
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield issuer
        server.shutdown()
        thread.join()


def settings_for(issuer: Issuer) -> dict[str, object]:
    return {
        "authentication": "required",
        "oidc_issuer": issuer.url,
        "oidc_audience": _AUDIENCE,
    }


async def status(http: httpx.AsyncClient, token: str, path: str = "/orders") -> int:
    return (await http.get(path, headers={"Authorization": f"Bearer {token}"})).status_code


async def test_a_valid_token_has_the_scopes_of_its_roles(serve: Serve, issuer: Issuer) -> None:
    async with serve(**settings_for(issuer)) as http:
        assert await status(http, issuer.token()) == 200
        assert await status(http, issuer.token(key_id="ec", algorithm="ES256")) == 200
        assert await status(http, issuer.token(), "/api-keys") == 403
        assert await status(http, issuer.token(roles="viewer admin"), "/api-keys") == 200
        assert await status(http, issuer.token(roles=["something else"])) == 403
        assert await status(http, issuer.token(roles=None)) == 403


@pytest.mark.parametrize(
    "changes",
    [
        {"exp": time.time() - 3600},
        {"aud": "another"},
        {"iss": "https://evil.example"},
        {"exp": None},
        {"aud": None},
        {"sub": None},
        {"nbf": time.time() + 3600},
    ],
    ids=lambda changes: next(iter(changes)),
)
async def test_an_invalid_token_is_rejected(
    serve: Serve, issuer: Issuer, changes: dict[str, object]
) -> None:
    async with serve(**settings_for(issuer)) as http:
        assert await status(http, issuer.token(**changes)) == 401


@pytest.mark.parametrize(
    "name", ["", "a\0b", "\ud800", "a\nb", "\u202eada", "x" * 201, "order-service"], ids=repr
)
async def test_a_token_with_an_unprintable_name_is_rejected(
    serve: Serve, issuer: Issuer, name: str
) -> None:
    async with serve(**settings_for(issuer)) as http:
        assert await status(http, issuer.token(sub=name)) == 401


@pytest.mark.parametrize(
    "response", [[], None, 1, "keys", {}, {"keys": 1}, {"keys": [1, None]}, {"jwks_uri": "http://["}],
    ids=str,
)  # fmt: skip
async def test_malformed_keys_are_unavailable(
    serve: Serve, issuer: Issuer, response: object
) -> None:
    token, issuer.override = issuer.token(), response
    async with serve(**settings_for(issuer)) as http:
        assert await status(http, token) == 503


async def test_cached_keys_stay_valid_while_the_issuer_is_unavailable(
    serve: Serve, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(oidc, "_CACHE_SECONDS", 0)
    monkeypatch.setattr(oidc, "_MIN_REFRESH_SECONDS", 0)
    async with serve(**settings_for(issuer)) as http:
        assert await status(http, issuer.token()) == 200
        issuer.override = []
        assert await status(http, issuer.token()) == 200


async def test_a_slow_issuer_is_bounded_by_the_timeout(serve: Serve, issuer: Issuer) -> None:
    issuer.is_slow = True
    token = issuer.token()
    async with serve(**settings_for(issuer), read_timeout=timedelta(seconds=0.5)) as http:
        async with asyncio.timeout(5):
            response_status = await status(http, token)
        issuer.is_slow = False

    assert response_status == 503


async def test_idempotency_keys_of_names_with_slashes_do_not_collide(
    serve: Serve, issuer: Issuer
) -> None:
    ids = set()
    async with serve(**settings_for(issuer)) as http:
        for name, key in (("shop", "a/b"), ("shop/a", "b")):
            token = issuer.token(sub=name, roles=["merchant"])
            headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": key}
            placed = await http.post(
                "/orders", json={"address": {"zip_code": "10001"}}, headers=headers
            )
            ids.add(placed.json()["order_id"])

    assert len(ids) == 2


async def test_a_person_and_an_api_client_of_one_name_have_separate_idempotency_keys(
    serve: Serve, issuer: Issuer, make_key: MakeKey
) -> None:
    credentials = [await make_key(client="shop"), issuer.token(sub="shop", roles=["merchant"])]
    async with serve(**settings_for(issuer)) as http:
        placed = [
            await http.post(
                "/orders",
                json={"address": {"zip_code": "10001"}},
                headers={"Authorization": f"Bearer {one}", "Idempotency-Key": "cart-1"},
            )
            for one in credentials
        ]

    assert len({response.json()["order_id"] for response in placed}) == 2


async def test_a_key_of_1024_bits_is_not_accepted(serve: Serve, issuer: Issuer) -> None:
    issuer.keys["short"] = rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505 - weak on purpose
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the library warns about the key that this test needs
        token = issuer.token(key_id="short")
    async with serve(**settings_for(issuer)) as http:
        assert await status(http, token) == 401
        assert await status(http, issuer.token()) == 200


async def test_only_the_configured_algorithms_are_accepted(serve: Serve, issuer: Issuer) -> None:
    claims = {"iss": issuer.url, "aud": _AUDIENCE, "sub": "ada", "exp": time.time() + 60}
    unsigned = jwt.encode(claims, None, "none", headers={"kid": "rsa"})
    public = issuer.jwks()["keys"][0]["n"]
    confused = jwt.encode(claims, public, "HS256", headers={"kid": "rsa"})
    async with serve(**settings_for(issuer)) as http:
        tokens = (unsigned, confused, issuer.token(algorithm="RS512"), "a.b.c", "nonsense")
        assert [await status(http, token) for token in tokens] == [401] * 5


async def test_the_issuers_keys_are_read_once_for_many_tokens(serve: Serve, issuer: Issuer) -> None:
    async with serve(**settings_for(issuer)) as http:
        for _ in range(5):
            await status(http, issuer.token())

    assert issuer.requests == 2  # the discovery document and the keys


async def test_tokens_with_unknown_keys_do_not_trigger_a_refresh_each_time(
    serve: Serve, issuer: Issuer
) -> None:
    foreign_issuer = Issuer(issuer.server, {"unknown": issuer.keys["rsa"]})
    async with serve(**settings_for(issuer)) as http:
        for _ in range(5):
            assert await status(http, foreign_issuer.token(key_id="unknown")) == 401

    assert issuer.requests == 2


async def test_authentication_is_unavailable_if_the_keys_were_never_read(
    serve: Serve, issuer: Issuer, closed_port: int
) -> None:
    unreachable = settings_for(issuer) | {"oidc_jwks_url": f"http://127.0.0.1:{closed_port}/keys"}
    async with serve(**unreachable) as http:
        response = await http.get("/orders", headers={"Authorization": f"Bearer {issuer.token()}"})

    assert (response.status_code, response.json()["type"]) == (503, "/problems/unavailable")
