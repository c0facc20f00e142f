"""The sandbox carrier: accepts parcels under idempotency keys, with faults on demand.

The first line of an address works like a payment provider's test card: `rejected` (no delivery to
the address), `response_dropped` (accepted, the response is lost), `delayed_commit` (the response is
lost, accepted seconds later), `error_once` (first a 500), `error` (always a 500), `rate_limited`
(first a 429), `down` (always a 503), `slow`. Any other parcel is accepted.
"""

from datetime import UTC, datetime
from typing import Any, Literal

from fastapi import APIRouter, Depends, HTTPException, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict

from fuze_sandbox.fault_profile import FaultInjector
from fuze_sandbox.idempotency import IdempotencyKey, IdempotentWriter
from fuze_sandbox.store import Record, SandboxStore
from fuze_sandbox.webhooks import WebhookEndpoint


class ParcelRequest(BaseModel):
    """A parcel to be delivered. `shipment_id` and `order_id` are the caller's references."""

    model_config = ConfigDict(extra="forbid", strict=True)

    shipment_id: str
    order_id: str
    address: dict[str, str | None]
    contents: list[dict[str, Any]] = []


class DeliveryReport(BaseModel):
    """How far a parcel has come."""

    status: Literal["in_transit", "delivered", "returned"]


class CarrierSandbox:
    """The carrier, over its records."""

    def __init__(
        self, store: SandboxStore, injector: FaultInjector, webhook: WebhookEndpoint | None
    ) -> None:
        self._store = store
        self._injector = injector
        self._webhook = webhook
        self._parcels = IdempotentWriter("parcels", store, injector)

    def accept(self, request: ParcelRequest, key: str, response: Response) -> Response | Record:
        """Accept the parcel once per key, unless its address or a fault prevents it."""
        self._injector.wait_at("before_write")
        result = self._accept(request, key, response)
        self._injector.wait_at("after_write")
        return result

    def report(self, parcel_id: str, report: DeliveryReport) -> Record:
        """Record a delivery status, as a driver would, and send the webhook."""
        now = datetime.now(UTC).isoformat()
        parcel = self._store.update(parcel_id, status=report.status, status_changed_at=now)
        if parcel is None:
            raise HTTPException(404, "there is no such parcel")
        if self._webhook:
            self._webhook.send(f"parcel.{report.status}", shipment_id=parcel["shipment_id"])
        return parcel

    def _accept(self, request: ParcelRequest, key: str, response: Response) -> Response | Record:
        line1 = request.address.get("line1") or ""
        if line1 == "rejected":
            return JSONResponse({"code": "address_not_serviceable"}, 422)
        if line1 == "down":
            raise HTTPException(503, "the carrier is unavailable", headers={"Retry-After": "1"})
        fields = {
            "status": "accepted",
            "carrier": "sandbox-express",
            "tracking_number": f"FZ{key.replace('-', '')[:12].upper()}",
            **request.model_dump(),
        }
        fault = self._injector.choose_fault(line1)
        return self._parcels.create(key, request.model_dump(), fields, fault, response)


def create_router(
    store: SandboxStore, injector: FaultInjector, webhook: WebhookEndpoint | None
) -> APIRouter:
    """Return the carrier's HTTP API."""
    carrier = CarrierSandbox(store, injector, webhook)
    router = APIRouter(prefix="/carrier")
    fails_in_outage = [Depends(injector.require_available)]

    @router.post("/parcels", status_code=201, dependencies=fails_in_outage, response_model=None)
    def accept(
        request: ParcelRequest, key: IdempotencyKey, response: Response
    ) -> Response | Record:
        return carrier.accept(request, key, response)

    @router.post("/parcels/{parcel_id}/report")
    def report(parcel_id: str, report: DeliveryReport) -> Record:
        return carrier.report(parcel_id, report)

    @router.get("/parcels/search", dependencies=fails_in_outage)
    def search(shipment_id: str) -> dict[str, list[Record]]:
        return {"parcels": store.find("parcels", shipment_id=shipment_id)}

    # Listing works during an outage: tests compare these records with the services' own.
    @router.get("/parcels")
    def parcels(
        order_id: str | None = None, shipment_id: str | None = None
    ) -> dict[str, list[Record]]:
        return {"parcels": store.find("parcels", order_id=order_id, shipment_id=shipment_id)}

    return router
