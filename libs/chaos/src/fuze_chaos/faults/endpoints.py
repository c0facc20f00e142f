"""Endpoint faults: a webhook receiver dies, hangs, lies, forgets, or says that it is gone."""

import asyncio

import httpx
import stamina

from fuze_chaos.endpoints.receiver import Behaviour
from fuze_chaos.endpoints.receivers import Receivers
from fuze_chaos.workload.request_log import read_log

_RETRY_SECONDS = 60.0
"""The gateway, or what it needs, may be down because of another fault."""


class EndpointFaults:
    """Faults of receivers. Afterwards an operator enables the endpoint, and redelivers."""

    def __init__(self, receivers: Receivers, gateway: httpx.AsyncClient) -> None:
        self._receivers = receivers
        self._gateway = gateway
        self._forgotten: dict[str, int] = dict.fromkeys(receivers.names, 0)

    async def kill(self, name: str, downtime: float) -> None:
        """Kill a receiver with SIGKILL, and start it again after `downtime` seconds."""
        await self._receivers.kill(name)
        await asyncio.sleep(downtime)
        await self._receivers.start(name)

    async def behave(self, name: str, behaviour: Behaviour, seconds: float) -> str:
        """Let a receiver respond so for some seconds; then repair what that has done."""
        received = self._count(name)
        await self._receivers.change(name, behaviour)
        try:
            await asyncio.sleep(seconds)
        finally:
            await self._receivers.change(name, Behaviour.ACCEPT)
        affected = self._count(name) - received
        return "; ".join((f"{affected} requests", *await self._repair(name)))

    async def repair_all(self) -> None:
        """Make every receiver accept, and repair what the faults have done."""
        for name in self._receivers.names:
            await self._receivers.start(name)
            await self._repair(name)

    async def _repair(self, name: str) -> list[str]:
        path = f"/webhook-endpoints/{self._receivers.endpoint_id(name)}"
        notes = []
        if not (await self._send("GET", path))["enabled"]:
            await self._send("PATCH", path, {"enabled": True})
            notes.append("enabled again")
        forgotten = [
            line["message_id"]
            for line in read_log(self._receivers.record(name))
            if line["is_forgotten"]
        ]
        requested = self._forgotten[name]
        for message_id in dict.fromkeys(forgotten[requested:]):
            await self._send("POST", f"{path}/redeliver", {"message_id": message_id})
        if len(forgotten) > requested:
            notes.append(f"{len(forgotten) - requested} messages redelivered")
        self._forgotten[name] = len(forgotten)
        return notes

    @stamina.retry(on=httpx.HTTPError, attempts=None, timeout=_RETRY_SECONDS, wait_max=2)
    async def _send(self, method: str, path: str, body: object = None) -> dict[str, object]:
        response = await self._gateway.request(method, path, json=body)
        found: dict[str, object] = response.raise_for_status().json()
        return found

    def _count(self, name: str) -> int:
        return sum(1 for _ in read_log(self._receivers.record(name)))
