"""A fake Stripe for tests: localstripe in its own process, behind a proxy in the test's process.

localstripe keeps intents and refunds. The proxy adds what it lacks, as Stripe documents it:
idempotency keys, lists by time with the newest first, `automatic_payment_methods`. It also injects
faults into the next requests.
"""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode

import httpx
from aiohttp import web

from fuze_devstack.ports import Ports
from fuze_testing import unmeasured_environment

API_KEY = "sk_test_unused"
_LIST_PARAMETERS = ("limit", "starting_after", "created[gte]", "created[lte]")


@contextmanager
def run_localstripe(folder: Path) -> Iterator[str]:
    """Run localstripe with its state in `folder`; yield its URL."""
    port = Ports.free().sandbox
    command = [sys.executable, __file__, str(folder), str(port)]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, env=unmeasured_environment(), stdout=log, stderr=log)
    url = f"http://127.0.0.1:{port}"
    try:
        while True:
            assert process.poll() is None, (folder / "log").read_text()
            try:
                httpx.get(url, trust_env=False)
                break
            except httpx.ConnectError:
                continue
        yield url
    finally:
        process.terminate()
        process.wait(30)


def error(status: int, **fields: Any) -> web.Response:  # noqa: ANN401 - as JSON
    return web.json_response({"error": fields}, status=status)


class FakeStripe:
    """`faults` are those of the next requests that change something, in this order.

    `rejected`: return the given response and do nothing. `recorded`: likewise, but keep the
    response under the idempotency key. `response_dropped`: do it, and drop the response. `delayed`:
    do it when `released` is set. With `shows_processing`, an intent that succeeded has the status
    `processing`: localstripe has that status only for an intent that is going to fail.
    """

    def __init__(self, url: str) -> None:
        self._stripe = httpx.AsyncClient(
            base_url=url, trust_env=False, headers={"Authorization": f"Bearer {API_KEY}"}
        )
        self.faults: list[tuple[str, web.Response | None]] = []
        self.released = asyncio.Event()
        self.requests: list[str] = []
        self.largest_page = 100
        self.shows_processing = False
        self._responses: dict[str, tuple[bytes, tuple[int, bytes] | None]] = {}
        self._runner = web.AppRunner(self._application(), access_log=None)

    async def start(self) -> str:
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        return f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def stop(self) -> None:
        self.released.set()
        await self._runner.cleanup()
        await self._stripe.aclose()

    def forget_keys(self) -> None:
        self._responses.clear()

    async def create(self, path: str, **form: Any) -> dict[str, Any]:  # noqa: ANN401 - a form
        response = await self._stripe.post(f"/v1/{path}", data=form)
        created: dict[str, Any] = response.raise_for_status().json()
        return created

    async def list_all(self, path: str) -> list[dict[str, Any]]:
        response = await self._stripe.get(f"/v1/{path}", params={"limit": 100_000})
        newest_first: list[dict[str, Any]] = response.raise_for_status().json()["data"]
        return sorted(newest_first, key=lambda one: one["created"], reverse=True)

    def _application(self) -> web.Application:
        application = web.Application()
        application.router.add_get("/v1/payment_intents", self._list)
        application.router.add_get("/v1/refunds", self._list)
        application.router.add_route("*", "/{path:.*}", self._handle)
        return application

    async def _list(self, request: web.Request) -> web.Response:
        query = request.query
        response = await self._stripe.get(
            request.path,
            params={k: v for k, v in query.items() if k not in _LIST_PARAMETERS}
            | {"limit": "100000"},
        )
        if not response.is_success:
            return web.Response(body=response.content, status=response.status_code)
        found = sorted(response.json()["data"], key=lambda one: one["created"], reverse=True)
        since, to = int(query.get("created[gte]", 0)), int(query.get("created[lte]", 2**40))
        found = [one for one in found if since <= one["created"] <= to]
        if "starting_after" in query:
            ids = [one["id"] for one in found]
            found = found[ids.index(query["starting_after"]) + 1 :]
        size = min(int(query.get("limit", 10)), self.largest_page)
        page = {"object": "list", "data": found[:size], "has_more": len(found) > size}
        return web.json_response(page)

    async def _handle(self, request: web.Request) -> web.Response:
        if request.method == "GET":
            return await self._forward(request, b"")
        self.requests.append(request.path)
        body = await request.read()
        fault, response = self.faults.pop(0) if self.faults else ("", None)
        if fault == "rejected":
            assert response is not None
            return response
        key = request.headers.get("Idempotency-Key")
        if key in self._responses:
            return self._replay(key, body)
        if key:
            self._responses[key] = (body, None)
        done = await self._execute(request, body, fault, response)
        assert isinstance(done.body, bytes)
        if key:
            self._responses[key] = (body, (done.status, done.body))
        return done

    def _replay(self, key: str, body: bytes) -> web.Response:
        first, response = self._responses[key]
        if first != body:
            return error(400, type="idempotency_error", message="Keys can only be used with …")
        if response is None:
            return error(409, type="invalid_request_error", code="idempotency_key_in_use")
        return web.Response(status=response[0], body=response[1], content_type="application/json")

    async def _execute(
        self, request: web.Request, body: bytes, fault: str, response: web.Response | None
    ) -> web.Response:
        if fault == "delayed":
            await self.released.wait()
        if fault == "recorded":
            assert response is not None
            return response
        done = await self._forward(request, body)
        if fault == "response_dropped" and request.transport:
            request.transport.abort()
        return done

    async def _forward(self, request: web.Request, body: bytes) -> web.Response:
        form = [(k, v) for k, v in parse_qsl(body.decode()) if not k.startswith("automatic_")]
        response = await self._stripe.request(
            request.method,
            request.path_qs,
            content=urlencode(form),
            headers={
                "Authorization": request.headers.get("Authorization", ""),
                "Content-Type": "application/x-www-form-urlencoded",
            },
        )
        content = response.content
        if self.shows_processing:
            content = content.replace(b'"status": "succeeded"', b'"status": "processing"')
        return web.Response(
            status=response.status_code, body=content, content_type="application/json"
        )


def main() -> None:
    """Serve localstripe on 127.0.0.1, with its state in a folder of its own."""
    from localstripe import resources, server  # noqa: PLC0415 - only in its own process

    folder, port = Path(sys.argv[1]), int(sys.argv[2])
    resources.open = lambda path, mode: (folder / Path(path).name).open(mode)
    web.run_app(server.app, host="127.0.0.1", port=port, print=None)


if __name__ == "__main__":
    main()
