"""EasyPost as a carrier: a parcel is a Shipment there, accepted once its label is bought."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, TypeVar

import httpx
from pydantic import ValidationError

from fuze_contracts.base import Message
from fuze_shipping.carrier import (
    Accepted,
    Carrier,
    Created,
    CreateResult,
    FindResult,
    Indeterminate,
    NotAttempted,
    NotFound,
    Rejected,
    SubmitResult,
)
from fuze_shipping.carrier.easypost.mapping import (
    ApiError,
    EasyPostShipment,
    ErrorBody,
    Rate,
    Rates,
    VerifiedAddress,
    build_address,
    build_reference,
    build_shipment,
    choose_rate,
    explain_no_rate,
    keep_recent,
    map_label,
    map_purchase,
    map_unbought,
)
from fuze_shipping.carrier.settings import CarrierSettings
from fuze_shipping.messages import Shipment

Parsed = TypeVar("Parsed", bound=Message)
Failure = ApiError | NotAttempted | Indeterminate

_NEVER_CONNECTED = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


@asynccontextmanager
async def open_easypost(settings: CarrierSettings) -> AsyncIterator[Carrier]:
    """Connect to EasyPost with the key of the settings."""
    assert settings.easypost_api_key, "settings require it"  # noqa: S101 - narrows the type
    async with httpx.AsyncClient(
        base_url=f"{str(settings.easypost_api_base).rstrip('/')}/",
        headers={"Authorization": f"Bearer {settings.easypost_api_key.get_secret_value()}"},
        timeout=settings.carrier_timeout.total_seconds(),
    ) as client:
        yield EasyPostCarrier(client, settings)


class EasyPostCarrier(Carrier):
    """Buys labels through `client`, whose base URL ends in `/v2/`.

    EasyPost has no idempotency keys. It names a Shipment when that is created, which is free, and
    sells one label for each Shipment. `reference` finds a Shipment by our name, but is not unique.
    """

    def __init__(self, client: httpx.AsyncClient, settings: CarrierSettings) -> None:
        self._client = client
        self._settings = settings

    async def create(self, shipment: Shipment) -> CreateResult:
        """Create a Shipment, unless there is one with our reference; return its id."""
        origin = self._settings.easypost_from_address
        if shipment.address is None or origin is None or shipment.address.country != origin.country:
            return Rejected(code="customs_not_supported")
        deadline = self._deadline()
        found = await self._get(build_reference(shipment), deadline)
        if isinstance(found, EasyPostShipment):
            return Created(reference=found.id)
        if isinstance(found, NotAttempted):
            return found
        to_address = build_address(shipment.address)
        if self._settings.easypost_verify_addresses:
            body = {"address": to_address, "verify_strict": True}
            verified = await self._call(VerifiedAddress, "POST", "addresses", deadline, body)
            if not isinstance(verified, VerifiedAddress):
                return map_unbought(verified)
            to_address = {"id": verified.id}
        body = build_shipment(shipment, to_address, self._settings)
        created = await self._call(EasyPostShipment, "POST", "shipments", deadline, body)
        if isinstance(created, EasyPostShipment):
            return Created(reference=created.id)
        return map_unbought(created)

    async def submit(self, shipment: Shipment) -> SubmitResult:
        """Buy the label of the Shipment, unless it has one; EasyPost sells it once."""
        deadline, reference = self._deadline(), shipment.carrier_reference
        found = await self._get(str(reference), deadline)
        if isinstance(found, NotFound):
            found = NotAttempted(reason=f"EasyPost does not know the shipment {reference}")
        if isinstance(found, NotAttempted):
            return found
        label = map_label(found)
        if isinstance(label, Accepted):
            return label
        rate = await self._choose_rate(found, deadline)
        if not isinstance(rate, Rate):
            return rate
        path, body = f"shipments/{found.id}/buy", {"rate": {"id": rate.id}}
        bought = await self._call(EasyPostShipment, "POST", path, deadline, body)
        if not isinstance(bought, EasyPostShipment):
            return map_purchase(bought)
        label = map_label(bought)
        if isinstance(label, NotFound):
            return Indeterminate(reason="EasyPost's response to the purchase has no label")
        return label

    async def find(self, shipment: Shipment) -> FindResult:
        """Look the label up by the Shipment's id, or by our reference where there is none."""
        name = shipment.carrier_reference or build_reference(shipment)
        found = await self._get(name, self._deadline())
        return map_label(found) if isinstance(found, EasyPostShipment) else found

    async def cancel(self, shipment: Shipment) -> bool:
        """Refund the label; return whether EasyPost accepts that. The carrier decides later."""
        name = shipment.carrier_reference or build_reference(shipment)
        path, deadline = f"shipments/{name}/refund", self._deadline()
        refunded = await self._call(EasyPostShipment, "POST", path, deadline)
        return isinstance(refunded, EasyPostShipment) and refunded.is_refunded

    async def _choose_rate(
        self, shipment: EasyPostShipment, deadline: float
    ) -> Rate | Rejected | NotAttempted:
        """Return the cheapest rate, from new rates where the Shipment's are old or not allowed."""
        allowed = self._settings.easypost_services
        rate = choose_rate(keep_recent(shipment.rates, datetime.now(UTC)), allowed)
        if rate:
            return rate
        again = await self._call(Rates, "POST", f"shipments/{shipment.id}/rerate", deadline)
        if not isinstance(again, Rates):
            return map_unbought(again)
        return choose_rate(again.rates, allowed) or explain_no_rate(shipment)

    async def _get(self, name: str, deadline: float) -> EasyPostShipment | NotFound | NotAttempted:
        """Return the Shipment of this id or reference. No failure of a look-up has an effect."""
        found = await self._call(EasyPostShipment, "GET", f"shipments/{name}", deadline)
        match found:
            case EasyPostShipment():
                return found
            case ApiError(status=HTTPStatus.NOT_FOUND):
                return NotFound()
            case ApiError():
                return NotAttempted(reason=str(found))
            case _:
                return NotAttempted(reason=found.reason)

    def _deadline(self) -> float:
        """Return the end of an operation that starts now, by the event loop's clock."""
        timeout = self._settings.carrier_timeout.total_seconds()
        return asyncio.get_running_loop().time() + timeout

    async def _call(
        self,
        kind: type[Parsed],
        method: str,
        path: str,
        deadline: float,
        body: dict[str, Any] | None = None,
    ) -> Parsed | Failure:
        """Return EasyPost's response, or what is known without one."""
        json = None if method == "GET" else body or {}
        try:
            async with asyncio.timeout_at(deadline):
                response = await self._client.request(method, path, json=json)
        except _NEVER_CONNECTED:
            return NotAttempted(reason="EasyPost cannot be reached")
        except (httpx.HTTPError, TimeoutError) as error:
            return Indeterminate(reason=f"{type(error).__name__} while calling EasyPost")
        try:
            if response.is_success:
                return kind.model_validate_json(response.content)
            return _parse_error(response)
        except ValidationError:
            return Indeterminate(
                reason=f"EasyPost's response cannot be read (status {response.status_code})"
            )


def _parse_error(response: httpx.Response) -> ApiError | Indeterminate:
    """Return the error that EasyPost reports.

    Raises:
        ValidationError: the response is not one of EasyPost's.

    """
    status = response.status_code
    if status == HTTPStatus.TOO_MANY_REQUESTS:  # of EasyPost or a proxy: not processed
        return ApiError(status=status, code="RATE_LIMITED", message="too many requests")
    error = ErrorBody.model_validate_json(response.content).error
    if response.is_client_error and status != HTTPStatus.REQUEST_TIMEOUT:
        return ApiError(status=status, code=error.code, message=str(error.message))
    return Indeterminate(reason=f"EasyPost responded with {status} {error.code}")
