"""Signing in at an identity provider: authorization code with PKCE."""

import base64
import hashlib
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import jwt
import pytest
from console_harness import PUBLIC_URL, ServeConsole
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

_KEY = ec.generate_private_key(ec.SECP256R1())


@dataclass
class Provider:
    """An identity provider that signs everybody in as Ada, an operator."""

    server: ThreadingHTTPServer
    challenges: dict[str, str] = field(default_factory=dict)
    claims: dict[str, Any] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    def authorize(self, url: str) -> str:
        """Do what the login page does: return the URL that the browser is redirected to."""
        query = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        assert (query["response_type"], query["client_id"]) == ("code", "console")
        assert query["code_challenge_method"] == "S256"
        self.challenges["a-code"] = query["code_challenge"]
        return f"{query['redirect_uri']}?code=a-code&state={query['state']}"

    def respond(self, path: str, form: dict[str, list[str]]) -> tuple[int, dict[str, Any]]:
        if path.startswith("/.well-known"):
            return 200, {
                "issuer": self.url,
                "authorization_endpoint": f"{self.url}/authorize",
                "token_endpoint": f"{self.url}/token",
                "jwks_uri": f"{self.url}/keys",
            }
        if path == "/keys":
            public = json.loads(ECAlgorithm.to_jwk(_KEY.public_key()))
            return 200, {"keys": [public | {"kid": "1", "use": "sig"}]}
        verifier = form.get("code_verifier", [""])[0]
        digest = hashlib.sha256(verifier.encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        if self.challenges.pop(form["code"][0], None) != challenge:
            return 400, {"error": "invalid_grant"}
        claims = {"iss": self.url, "aud": "fuze", "sub": "ada", "roles": ["operator"]}
        claims |= {"exp": time.time() + 60} | self.claims
        token = jwt.encode(claims, _KEY, "ES256", headers={"kid": "1"})
        return 200, {"access_token": token, "token_type": "Bearer", "expires_in": 60}


@pytest.fixture
def provider() -> Iterator[Provider]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._respond({})

        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            self._respond(parse_qs(self.rfile.read(length).decode()))

        def _respond(self, form: dict[str, list[str]]) -> None:
            status, content = provider.respond(self.path, form)
            body = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        provider = Provider(server)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield provider
        server.shutdown()
        thread.join()


@pytest.fixture
def settings(provider: Provider) -> dict[str, Any]:
    return {
        "gateway": {"oidc_issuer": provider.url, "oidc_audience": "fuze",
                    "oidc_algorithms": ["ES256"]},
        "oidc_issuer": provider.url,
        "oidc_client_id": "console",
    }  # fmt: skip


async def _begin(http: httpx.AsyncClient) -> str:
    response = await http.get("/sign-in/provider?next=/orders", follow_redirects=False)
    return str(response.headers["location"])


async def test_a_person_signs_in_at_the_provider(
    serve: ServeConsole, provider: Provider, settings: dict[str, Any]
) -> None:
    async with serve(**settings) as http:
        page = await http.get("/sign-in")
        callback = provider.authorize(await _begin(http))
        signed_in = await http.get(callback)

    assert "company account" in page.text
    assert callback.startswith(f"{PUBLIC_URL}/sign-in/callback?")
    assert signed_in.url.path == "/orders"
    assert "ada" in signed_in.text
    assert "/work/discrepancies" in signed_in.text


async def test_a_callback_of_another_login_is_refused(
    serve: ServeConsole, provider: Provider, settings: dict[str, Any]
) -> None:
    async with serve(**settings) as http:
        callback = provider.authorize(await _begin(http))
        forged = await http.get(callback.replace("state=", "state=x"))
        http.cookies.clear()
        without_login = await http.get(callback)

    assert "issued no access token" in forged.text
    assert "No login has begun" in without_login.text


async def test_a_code_is_of_no_use_without_the_verifier(
    serve: ServeConsole, provider: Provider, settings: dict[str, Any]
) -> None:
    async with serve(**settings) as http:
        callback = provider.authorize(await _begin(http))
        provider.challenges["a-code"] = "that of another browser"
        refused = await http.get(callback)

    assert "issued no access token" in refused.text


async def test_a_token_that_the_gateway_refuses_is_no_session(
    serve: ServeConsole, provider: Provider, settings: dict[str, Any]
) -> None:
    provider.claims["aud"] = "another"
    async with serve(**settings) as http:
        refused = await http.get(provider.authorize(await _begin(http)))
        page = await http.get("/orders")

    assert "The gateway refused the token" in refused.text
    assert page.url.path == "/sign-in"


async def test_a_token_that_fits_into_no_cookie_is_said(
    serve: ServeConsole, provider: Provider, settings: dict[str, Any]
) -> None:
    provider.claims["padding"] = "x" * 5000
    async with serve(**settings) as http:
        refused = await http.get(provider.authorize(await _begin(http)))

    assert "too large for a cookie" in refused.text


async def test_a_refusal_of_the_provider_is_shown(
    serve: ServeConsole, settings: dict[str, Any]
) -> None:
    async with serve(**settings) as http:
        await _begin(http)
        refused = await http.get("/sign-in/callback?error=access_denied")

    assert "The identity provider refused: access_denied" in refused.text
