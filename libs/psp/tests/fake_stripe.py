"""A Stripe for tests: localstripe in a process of its own, behind a door in the test's.

localstripe keeps intents and refunds. What it lacks is done by the door, as Stripe documents it:
idempotency keys, lists by time and the newest first, `automatic_payment_methods`. And a door can
slam: a test says what befalls the next request.
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

KEY = "sk_test_of_nobody"
_OURS = ("limit", "starting_after", "created[gte]", "created[lte]")


@contextmanager
def localstripe(folder: Path) -> Iterator[str]:
    """Run localstripe with its state in `folder`; its URL."""
    port = Ports.free().sandbox
    command = [sys.executable, __file__, str(folder), str(port)]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
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


class Door:
    """What befalls the next requests that change something is in `faults`, first to last.

    `refused` is turned away with the answer that comes with it; `answered` likewise, but kept under
    the key, as what was begun; `lost` is done, and its answer is not; `slow` is done when
    `released` is set. While it is `reviewing`, it shows an intent that succeeded as processing:
    localstripe has that status only for what is going to fail.
    """

    def __init__(self, url: str) -> None:
        self._stripe = httpx.AsyncClient(
            base_url=url, trust_env=False, headers={"Authorization": f"Bearer {KEY}"}
        )
        self.faults: list[tuple[str, web.Response | None]] = []
        self.released = asyncio.Event()
        self.asked: list[str] = []
        self.largest_page = 100
        self.reviewing = False
        self._kept: dict[str, tuple[bytes, tuple[int, bytes] | None]] = {}
        self._runner = web.AppRunner(self._application(), access_log=None)

    async def open(self) -> str:
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        return f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def close(self) -> None:
        self.released.set()
        await self._runner.cleanup()
        await self._stripe.aclose()

    def forget_keys(self) -> None:
        self._kept.clear()

    async def make(self, path: str, **form: Any) -> dict[str, Any]:  # noqa: ANN401 - a form
        answer = await self._stripe.post(f"/v1/{path}", data=form)
        made: dict[str, Any] = answer.raise_for_status().json()
        return made

    async def all(self, path: str) -> list[dict[str, Any]]:
        answer = await self._stripe.get(f"/v1/{path}", params={"limit": 100_000})
        newest_first: list[dict[str, Any]] = answer.raise_for_status().json()["data"]
        return sorted(newest_first, key=lambda one: one["created"], reverse=True)

    def _application(self) -> web.Application:
        application = web.Application()
        application.router.add_get("/v1/payment_intents", self._list)
        application.router.add_get("/v1/refunds", self._list)
        application.router.add_route("*", "/{path:.*}", self._pass)
        return application

    async def _list(self, request: web.Request) -> web.Response:
        query = request.query
        answer = await self._stripe.get(
            request.path,
            params={k: v for k, v in query.items() if k not in _OURS} | {"limit": "100000"},
        )
        if not answer.is_success:
            return web.Response(body=answer.content, status=answer.status_code)
        found = sorted(answer.json()["data"], key=lambda one: one["created"], reverse=True)
        since, to = int(query.get("created[gte]", 0)), int(query.get("created[lte]", 2**40))
        found = [one for one in found if since <= one["created"] <= to]
        if "starting_after" in query:
            ids = [one["id"] for one in found]
            found = found[ids.index(query["starting_after"]) + 1 :]
        size = min(int(query.get("limit", 10)), self.largest_page)
        page = {"object": "list", "data": found[:size], "has_more": len(found) > size}
        return web.json_response(page)

    async def _pass(self, request: web.Request) -> web.Response:
        if request.method == "GET":
            return await self._forward(request, b"")
        self.asked.append(request.path)
        body = await request.read()
        fault, says = self.faults.pop(0) if self.faults else ("", None)
        if fault == "rejected":
            assert says is not None
            return says
        key = request.headers.get("Idempotency-Key")
        if key in self._kept:
            return self._again(key, body)
        if key:
            self._kept[key] = (body, None)
        done = await self._do(request, body, fault, says)
        assert isinstance(done.body, bytes)
        if key:
            self._kept[key] = (body, (done.status, done.body))
        return done

    def _again(self, key: str, body: bytes) -> web.Response:
        first, answer = self._kept[key]
        if first != body:
            return error(400, type="idempotency_error", message="Keys can only be used with …")
        if answer is None:
            return error(409, type="invalid_request_error", code="idempotency_key_in_use")
        return web.Response(status=answer[0], body=answer[1], content_type="application/json")

    async def _do(
        self, request: web.Request, body: bytes, fault: str, says: web.Response | None
    ) -> web.Response:
        if fault == "slow":
            await self.released.wait()
        if fault == "answered":
            assert says is not None
            return says
        done = await self._forward(request, body)
        if fault == "lost" and request.transport:
            request.transport.abort()
        return done

    async def _forward(self, request: web.Request, body: bytes) -> web.Response:
        form = [(k, v) for k, v in parse_qsl(body.decode()) if not k.startswith("automatic_")]
        answer = await self._stripe.request(
            request.method,
            request.path_qs,
            content=urlencode(form),
            headers={
                "Authorization": request.headers.get("Authorization", ""),
                "Content-Type": "application/x-www-form-urlencoded",
            },
        )
        content = answer.content
        if self.reviewing:
            content = content.replace(b'"status": "succeeded"', b'"status": "processing"')
        return web.Response(
            status=answer.status_code, body=content, content_type="application/json"
        )


def main() -> None:
    """Serve localstripe alone, on 127.0.0.1; it would keep its state in one file for all."""
    from localstripe import resources, server  # noqa: PLC0415 - only in the process of its own

    folder, port = Path(sys.argv[1]), int(sys.argv[2])
    resources.open = lambda path, mode: (folder / Path(path).name).open(mode)
    web.run_app(server.app, host="127.0.0.1", port=port, print=None)


if __name__ == "__main__":
    main()
