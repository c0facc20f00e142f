"""The receivers of a run: creates their endpoints, and starts, kills and instructs them."""

import asyncio
import json
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import BinaryIO

import httpx
import stamina

from fuze_chaos.endpoints.receiver import Behaviour, ReceiverConfig
from fuze_devstack import http_client
from fuze_devstack.ports import find_free_port

_START_SECONDS = 20.0
_POLL_SECONDS = 0.05


class Receivers:
    """One process for each endpoint. `gateway` is the client that creates the endpoints."""

    def __init__(self, folder: Path, gateway: httpx.AsyncClient) -> None:
        self._folder = folder
        self._gateway = gateway
        self._configs: dict[str, ReceiverConfig] = {}
        self._processes: dict[str, asyncio.subprocess.Process] = {}

    @property
    def names(self) -> list[str]:
        """The endpoints that were created."""
        return list(self._configs)

    @property
    def records(self) -> list[Path]:
        """The file in which each receiver records its requests."""
        return [Path(one.record) for one in self._configs.values()]

    def endpoint_id(self, name: str) -> str:
        """Return the id that the gateway has given to an endpoint."""
        return self._configs[name].endpoint_id

    def record(self, name: str) -> Path:
        """Return the file in which a receiver records its requests."""
        return Path(self._configs[name].record)

    async def create(self, endpoints: Mapping[str, tuple[str, ...]]) -> None:
        """Create an endpoint of each name for these event types, and start its receiver."""
        for name, event_types in endpoints.items():
            port = find_free_port()
            body = {"url": f"http://127.0.0.1:{port}/webhooks", "event_types": list(event_types)}
            response = await self._gateway.post("/webhook-endpoints", json=body)
            created = response.raise_for_status().json()
            self._configs[name] = ReceiverConfig(
                name=name,
                port=port,
                record=str(self._folder / f"{name}.jsonl"),
                endpoint_id=created["endpoint_id"],
                secret=created["secret"],
            )
            self._write_config(name)
            await self.start(name)

    async def start(self, name: str) -> None:
        """Start a receiver unless it runs, and wait until it accepts messages."""
        process = self._processes.get(name)
        if process is None or process.returncode is not None:
            with self._open_log(name) as log:
                self._processes[name] = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-m", "fuze_chaos.endpoints.receiver"),
                    str(self._folder / f"{name}.json"),
                    stdin=asyncio.subprocess.PIPE,  # it ends with this process
                    stderr=log,
                )
        await self.change(name, Behaviour.ACCEPT)

    def _write_config(self, name: str) -> None:
        config = json.dumps(asdict(self._configs[name]))
        (self._folder / f"{name}.json").write_text(config)
        self.record(name).touch()

    def _open_log(self, name: str) -> BinaryIO:
        return (self._folder / "logs" / f"{name}.log").open("ab")

    async def kill(self, name: str) -> None:
        """Kill a receiver with SIGKILL."""
        process = self._processes[name]
        if process.returncode is None:
            process.kill()
            await process.wait()

    async def change(self, name: str, behaviour: Behaviour) -> None:
        """Change how a receiver responds to what it has not recorded yet."""
        url = f"http://127.0.0.1:{self._configs[name].port}/behaviour"
        retries = stamina.retry_context(
            on=httpx.TransportError, attempts=None, timeout=_START_SECONDS,
            wait_initial=_POLL_SECONDS, wait_max=_POLL_SECONDS, wait_jitter=0,
        )  # fmt: skip
        async for attempt in retries:
            with attempt:
                async with http_client.create_client() as client:
                    (await client.put(url, content=behaviour.value)).raise_for_status()

    async def stop(self) -> None:
        """Kill every receiver."""
        for name in self._processes:
            await self.kill(name)
