"""The sandbox carrier, over HTTP."""

import asyncio
from http import HTTPStatus
from typing import Any

import httpx
from pydantic import ValidationError

from fuze_contracts.base import Message
from fuze_contracts.shipping import DeliveryStatus
from fuze_shipping.carrier import (
    Accepted,
    Carrier,
    HandOverAnswer,
    NotFound,
    NotTaken,
    Refused,
    Tracked,
    Unclear,
)
from fuze_shipping.messages import Shipment

_TURNED_AWAY = {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}
"""Statuses with which nothing was done."""


class _Refusal(Message):
    code: str


class _Parcel(Accepted):
    status: DeliveryStatus


class _Parcels(Message):
    parcels: tuple[_Parcel, ...]


class SandboxCarrier(Carrier):
    """Speaks to the sandbox carrier through `client`, whose base URL ends in `/carrier/`.

    `timeout` is for a whole request, in seconds.
    """

    def __init__(self, client: httpx.AsyncClient, timeout: float) -> None:
        self._client = client
        self._timeout = timeout

    async def accept(self, shipment: Shipment) -> HandOverAnswer:
        """Hand over, with the shipment's id as the idempotency key."""
        response = await self._ask(
            "POST",
            "parcels",
            headers={"Idempotency-Key": str(shipment.id)},
            json={
                "shipment_id": str(shipment.id),
                "order_id": str(shipment.order_id),
                "address": shipment.address.model_dump(mode="json") if shipment.address else {},
                "contents": [item.model_dump(mode="json") for item in shipment.items or ()],
            },
        )
        if not isinstance(response, httpx.Response):
            return response
        try:
            if response.status_code == HTTPStatus.UNPROCESSABLE_ENTITY:
                return Refused(code=_Refusal.model_validate_json(response.content).code)
            return Accepted.model_validate_json(response.content)
        except ValidationError:
            return Unclear(why="the carrier's answer cannot be read")

    async def find(self, shipment: Shipment) -> Accepted | NotFound | NotTaken | Unclear:
        """Look the shipment up by its id."""
        found = await self._parcel(shipment)
        if not isinstance(found, _Parcel):
            return found
        return Accepted(carrier=found.carrier, tracking_number=found.tracking_number)

    async def track(self, shipment: Shipment) -> Tracked | NotFound | NotTaken | Unclear:
        """Ask how far the parcel has come."""
        found = await self._parcel(shipment)
        return Tracked(state=found.status) if isinstance(found, _Parcel) else found

    async def _parcel(self, shipment: Shipment) -> _Parcel | NotFound | NotTaken | Unclear:
        response = await self._ask("GET", "parcels/search", params={"shipment_id": shipment.id})
        if not isinstance(response, httpx.Response):
            return response
        try:
            parcels = _Parcels.model_validate_json(response.content).parcels
        except ValidationError:
            return Unclear(why="the carrier's answer cannot be read")
        return parcels[0] if parcels else NotFound()

    async def _ask(
        self,
        method: str,
        path: str,
        **parts: Any,  # noqa: ANN401 - what httpx takes
    ) -> httpx.Response | NotTaken | Unclear:
        try:
            async with asyncio.timeout(self._timeout):
                response = await self._client.request(method, path, **parts)
        except (httpx.ConnectError, httpx.ConnectTimeout):
            return NotTaken(why="the carrier cannot be reached")
        except (httpx.HTTPError, TimeoutError) as error:
            return Unclear(why=repr(error))
        if response.status_code in _TURNED_AWAY:
            return NotTaken(why=f"the carrier answered {response.status_code}")
        if response.is_success or response.status_code == HTTPStatus.UNPROCESSABLE_ENTITY:
            return response
        return Unclear(why=f"the carrier answered {response.status_code}")
