"""Simulates deliveries: reports some of the carrier's parcels as delivered or returned."""

import asyncio
import random
from contextlib import suppress

import httpx

from fuze_devstack import http_client

_POLL_SECONDS = 1.5
_WEIGHTS: dict[tuple[str, ...], int] = {
    (): 4,
    ("delivered",): 3,
    ("in_transit", "delivered"): 2,
    ("delivered", "delivered"): 1,
    ("returned",): 2,
    ("in_transit", "returned"): 1,
}
"""The statuses reported for a parcel, in order, and their weights; some get no report at all."""


class DeliverySimulator:
    """Reports the delivery status of parcels; the same seed gives an order the same statuses."""

    def __init__(self, sandbox: str, seed: int) -> None:
        self._sandbox = sandbox
        self._seed = seed
        self._reported: set[str] = set()

    async def run(self, stop: asyncio.Event) -> None:
        """Report on new parcels until `stop` is set."""
        async with http_client.create_client(self._sandbox) as carrier:
            while not stop.is_set():
                with suppress(httpx.HTTPError):  # the sandbox may be down because of a fault
                    await self._report_new_parcels(carrier)
                with suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), _POLL_SECONDS)

    async def _report_new_parcels(self, carrier: httpx.AsyncClient) -> None:
        response = await carrier.get("/carrier/parcels")
        response.raise_for_status()
        for parcel in response.json()["parcels"]:
            if parcel["id"] in self._reported:
                continue
            for status in self._statuses(parcel["order_id"]):
                await carrier.post(
                    f"/carrier/parcels/{parcel['id']}/report", json={"status": status}
                )
            self._reported.add(parcel["id"])

    def _statuses(self, order_id: str) -> tuple[str, ...]:
        rng = random.Random(f"{self._seed}/parcel/{order_id}")  # noqa: S311 - reproducible on purpose
        (statuses,) = rng.choices(list(_WEIGHTS), list(_WEIGHTS.values()))
        return statuses
