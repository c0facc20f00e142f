"""The codec server, with Temporal's own command line."""

import asyncio
import base64
import contextlib
import sysconfig
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
import uvicorn
from gateway_harness import MakeKey, Serve, bearer
from pydantic import SecretStr
from starlette.types import ASGIApp
from temporalio.client import Client

from fuze_gateway.app import create_app
from fuze_gateway.auth.principals import Role
from fuze_gateway.database import Database
from fuze_gateway.settings import GatewaySettings
from fuze_runtime import cli
from fuze_runtime.temporal import build_data_converter

_KEYS = SecretStr(f"2026:{base64.b64encode(b'k' * 32).decode()}")
_ENABLED = {"codec_server": True, "payload_keys": _KEYS, "authentication": "required"}
_TEMPORAL = str(Path(sysconfig.get_path("scripts")) / "temporal")


@contextlib.asynccontextmanager
async def _listening(app: ASGIApp) -> AsyncIterator[str]:
    """Serve on a free port: the command line is another process."""
    config = uvicorn.Config(app, port=0, log_config=None, ws="none")
    server = uvicorn.Server(config)
    listener = config.bind_socket()
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        await serving
        listener.close()


async def _show(client: Client, workflow_id: str, *arguments: str) -> str:
    process = await asyncio.create_subprocess_exec(
        _TEMPORAL, "workflow", "show", "--output", "json", "--workflow-id", workflow_id,
        "--address", client.service_client.config.target_host, *arguments,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    output, _ = await process.communicate()
    return output.decode()


async def test_temporals_command_line_shows_an_encrypted_payload_to_an_operator(
    settings: GatewaySettings, database: Database, temporal: Client, make_key: MakeKey
) -> None:
    encrypting = Client(temporal.service_client, data_converter=build_data_converter(_KEYS))
    workflow_id = str(uuid4())
    await encrypting.start_workflow("Any", "1 Canary Street", id=workflow_id, task_queue="idle")
    app = create_app(settings.model_copy(update=_ENABLED), database=database, client=temporal)
    authorization = f"Bearer {await make_key(Role.OPERATOR)}"

    async with _listening(app) as url:
        codec = ("--codec-endpoint", f"{url}/codec", "--codec-auth", authorization)
        stored = await _show(temporal, workflow_id)
        decrypted = await _show(temporal, workflow_id, *codec)

    plain = base64.b64encode(b'"1 Canary Street"').decode()  # how this output has a payload
    assert plain not in stored
    assert plain in decrypted


async def test_what_is_encoded_can_be_decoded(serve: Serve, make_key: MakeKey) -> None:
    plain = {"payloads": [{"metadata": {"encoding": "anNvbi9wbGFpbg=="}, "data": "ImEi"}]}
    headers = bearer(await make_key(Role.OPERATOR))

    async with serve(**_ENABLED) as http:
        encoded = await http.post("/codec/encode", json=plain, headers=headers)
        decoded = await http.post("/codec/decode", json=encoded.json(), headers=headers)

    assert encoded.json() != plain
    assert decoded.json() == plain


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b'{"payloads": 1}',
        b'{"payloads": [{"metadata": {"encoding": "YmluYXJ5L2VuY3J5cHRlZA=="}}]}',
    ],
)
async def test_a_body_that_cannot_be_decoded_is_a_problem(
    serve: Serve, make_key: MakeKey, body: bytes
) -> None:
    headers = bearer(await make_key(Role.OPERATOR))

    async with serve(**_ENABLED) as http:
        response = await http.post("/codec/decode", content=body, headers=headers)

    assert response.status_code == 400
    assert response.json()["type"].endswith("malformed-body")


async def test_only_operators_use_the_codec_server(serve: Serve, make_key: MakeKey) -> None:
    async with serve(**_ENABLED) as http:
        anonymous = await http.post("/codec/decode", json={})
        merchant = await http.post(
            "/codec/decode", json={}, headers=bearer(await make_key(Role.MERCHANT))
        )

    assert (anonymous.status_code, merchant.status_code) == (401, 403)


async def test_the_codec_server_is_off_by_default(gateway: httpx.AsyncClient) -> None:
    assert (await gateway.post("/codec/decode", json={})).status_code == 404


async def test_the_web_ui_of_a_configured_origin_may_call_it(serve: Serve) -> None:
    preflight = {
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type,x-namespace",
    }
    async with serve(**_ENABLED, cors_origins=["https://temporal.example"]) as http:
        allowed = await http.options(
            "/codec/decode", headers=preflight | {"Origin": "https://temporal.example"}
        )
        denied = await http.options(
            "/codec/decode", headers=preflight | {"Origin": "https://evil.example"}
        )

    assert allowed.status_code == 200
    assert allowed.headers["access-control-allow-origin"] == "https://temporal.example"
    assert "access-control-allow-origin" not in denied.headers


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({}, "FUZE_CODEC_SERVER requires FUZE_PAYLOAD_KEYS"),
        (
            {"FUZE_PAYLOAD_KEYS": _KEYS.get_secret_value(), "FUZE_CORS_ORIGINS": '["*"]'},
            "requires exact origins",
        ),
    ],
)
def test_a_codec_server_that_cannot_be_safe_does_not_start(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], message: str
) -> None:
    monkeypatch.setenv("FUZE_DATABASE_URL", "postgresql://gateway@127.0.0.1/nothing")
    monkeypatch.setenv("FUZE_CODEC_SERVER", "true")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    with pytest.raises(SystemExit, match=message):
        cli.load_settings(GatewaySettings)
