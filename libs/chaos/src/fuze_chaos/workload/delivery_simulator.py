"""The carrier's driver: says of some parcels that they have arrived, or come back."""

import asyncio
import random
from contextlib import suppress

import httpx

from fuze_devstack import http_client

_ROUND_SECONDS = 1.5
_FATES: dict[tuple[str, ...], int] = {
    (): 4,
    ("delivered",): 3,
    ("in_transit", "delivered"): 2,
    ("delivered", "delivered"): 1,
    ("returned",): 2,
    ("in_transit", "returned"): 1,
}
"""What is said of a parcel, in this order, and how often; of some nobody ever hears again."""


class Driver:
    """Reports on the parcels in the carrier's books; a parcel's fate is the same in each run."""

    def __init__(self, sandbox: str, seed: int) -> None:
        self._sandbox = sandbox
        self._seed = seed
        self._seen: set[str] = set()

    async def drive(self, stop: asyncio.Event) -> None:
        """Look for new parcels, round after round, until it is told to stop."""
        async with http_client.create_client(self._sandbox) as carrier:
            while not stop.is_set():
                with suppress(httpx.HTTPError):  # the carrier is hit by a fault itself
                    await self._round(carrier)
                with suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), _ROUND_SECONDS)

    async def _round(self, carrier: httpx.AsyncClient) -> None:
        answer = await carrier.get("/carrier/parcels")
        answer.raise_for_status()
        for parcel in answer.json()["parcels"]:
            if parcel["id"] in self._seen:
                continue
            for status in self._fate(parcel["order_id"]):
                await carrier.post(
                    f"/carrier/parcels/{parcel['id']}/report", json={"status": status}
                )
            self._seen.add(parcel["id"])

    def _fate(self, order_id: str) -> tuple[str, ...]:
        chance = random.Random(f"{self._seed}/parcel/{order_id}")  # noqa: S311 - the same each time
        (fate,) = chance.choices(list(_FATES), list(_FATES.values()))
        return fate
