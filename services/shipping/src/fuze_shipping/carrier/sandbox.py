"""The sandbox carrier, over HTTP."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any

import httpx
from pydantic import ValidationError

from fuze_contracts.base import Message
from fuze_shipping.carrier import (
    Accepted,
    Carrier,
    FindResult,
    Indeterminate,
    NotAttempted,
    NotFound,
    Rejected,
    SubmitResult,
)
from fuze_shipping.carrier.settings import CarrierSettings
from fuze_shipping.messages import Shipment

_NO_EFFECT = {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}
"""Statuses with which the carrier promises that it did nothing."""


class _Parcels(Message):
    parcels: tuple[Accepted, ...]


@asynccontextmanager
async def open_sandbox(settings: CarrierSettings) -> AsyncIterator[Carrier]:
    """Connect to the sandbox carrier that the settings name."""
    url = f"{str(settings.carrier_url).rstrip('/')}/"
    timeout = settings.carrier_timeout.total_seconds()
    async with httpx.AsyncClient(base_url=url, timeout=timeout) as client:
        yield SandboxCarrier(client, timeout)


class SandboxCarrier(Carrier):
    """Calls the sandbox carrier through `client`, whose base URL ends in `/carrier/`.

    `timeout` bounds a whole request, in seconds.
    """

    def __init__(self, client: httpx.AsyncClient, timeout: float) -> None:
        self._client = client
        self._timeout = timeout

    async def create(self, shipment: Shipment) -> None:
        """Do nothing: the shipment's id is the idempotency key."""

    async def submit(self, shipment: Shipment) -> SubmitResult:
        """Submit the shipment, with its id as the idempotency key."""
        response = await self._send(
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
                return Rejected.model_validate_json(response.content)
            return Accepted.model_validate_json(response.content)
        except ValidationError:
            return _unreadable(response)

    async def find(self, shipment: Shipment) -> FindResult:
        """Look the shipment up by its id."""
        response = await self._send("GET", "parcels/search", params={"shipment_id": shipment.id})
        if not isinstance(response, httpx.Response):
            return response
        try:
            parcels = _Parcels.model_validate_json(response.content).parcels
        except ValidationError:
            return _unreadable(response)
        return parcels[0] if parcels else NotFound()

    async def cancel(self, shipment: Shipment) -> bool:
        """Do nothing: the sandbox keeps every parcel that it accepted."""
        del shipment
        return False

    async def _send(
        self,
        method: str,
        path: str,
        **arguments: Any,  # noqa: ANN401 - passed to httpx
    ) -> httpx.Response | NotAttempted | Indeterminate:
        try:
            async with asyncio.timeout(self._timeout):
                response = await self._client.request(method, path, **arguments)
        except (httpx.ConnectError, httpx.ConnectTimeout):
            return NotAttempted(reason="the carrier cannot be reached")
        except (httpx.HTTPError, TimeoutError) as error:
            return Indeterminate(reason=type(error).__name__)
        if response.status_code in _NO_EFFECT:
            return NotAttempted(reason=f"the carrier responded with {response.status_code}")
        if response.is_success or response.status_code == HTTPStatus.UNPROCESSABLE_ENTITY:
            return response
        return Indeterminate(reason=f"the carrier responded with {response.status_code}")


def _unreadable(response: httpx.Response) -> Indeterminate:
    return Indeterminate(
        reason=f"the carrier's response cannot be read (status {response.status_code})"
    )
