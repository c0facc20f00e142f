"""The sandbox payment provider: charges and refunds under idempotency keys, with faults on demand.

Payment methods work like a provider's test cards, with or without the prefix `pm_`: `declined`,
`insufficient_funds`, `fraud`, `under_review` (decided later), `response_dropped` (charged, the
response is lost), `delayed_commit` (the response is lost, charged seconds later), `error_once`
(first a 500), `error` (always a 500), `rate_limited` (first a 429), `slow`. Any other is charged.
"""

import threading
from typing import Literal

from fastapi import APIRouter, Depends, HTTPException, Response
from pydantic import BaseModel, ConfigDict, Field

from fuze_sandbox.fault_profile import FaultInjector
from fuze_sandbox.idempotency import IdempotencyKey, IdempotentWriter
from fuze_sandbox.store import Record, SandboxStore
from fuze_sandbox.webhooks import WebhookEndpoint

_DECLINE_CODES = {
    "declined": "card_declined",
    "insufficient_funds": "insufficient_funds",
    "fraud": "fraud",
}


class ChargeRequest(BaseModel):
    """A charge, in minor units of `currency`. `payment_id` and `order_id` are the caller's."""

    model_config = ConfigDict(extra="forbid", strict=True)

    amount_minor: int = Field(gt=0)
    currency: str = Field(pattern=r"^[A-Z]{3}$")
    payment_method: str
    order_id: str
    payment_id: str
    reference: str | None = None


class RefundRequest(BaseModel):
    """A refund of a part of a charge, in minor units. `refund_id` is the caller's reference."""

    model_config = ConfigDict(extra="forbid", strict=True)

    charge_id: str
    amount_minor: int = Field(gt=0)
    refund_id: str


class ReviewDecision(BaseModel):
    """The outcome of a review."""

    status: Literal["charged", "declined"]


class PspSandbox:
    """The payment provider, over its records."""

    def __init__(
        self, store: SandboxStore, injector: FaultInjector, webhook: WebhookEndpoint | None
    ) -> None:
        self._store = store
        self._injector = injector
        self._webhook = webhook
        self._charges = IdempotentWriter("charges", store, injector)
        self._refunds = IdempotentWriter("refunds", store, injector)
        self._refund_lock = threading.Lock()

    def charge(self, request: ChargeRequest, key: str, response: Response) -> Response | Record:
        """Charge once per key, unless the payment method or a fault prevents it."""
        method = request.payment_method.removeprefix("pm_")
        decline_code = _DECLINE_CODES.get(method)
        status = "under_review" if method == "under_review" else "charged"
        fields = {
            "status": "declined" if decline_code else status,
            "decline_code": decline_code,
            **request.model_dump(),
        }
        fault = self._injector.choose_fault(method)
        self._injector.wait_at("before_write")
        result = self._charges.create(key, request.model_dump(), fields, fault, response)
        self._injector.wait_at("after_write")
        return result

    def refund(self, request: RefundRequest, key: str, response: Response) -> Response | Record:
        """Refund once per key, up to the charged amount."""
        charge = self._store.get(request.charge_id)
        if charge is None or charge["status"] != "charged":
            raise HTTPException(404, "there is no such charge")
        self._injector.wait_at("before_write")
        with self._refund_lock:
            is_known = self._refunds.find(key, request.model_dump()) is not None
            refunds = self._store.find("refunds", charge_id=request.charge_id)
            refunded = sum(refund["amount_minor"] for refund in refunds)
            if not is_known and refunded + request.amount_minor > charge["amount_minor"]:
                raise HTTPException(422, "the refund exceeds the charge")
            fields = {
                "status": "refunded",
                "order_id": charge["order_id"],
                **request.model_dump(),
            }
            fault = self._injector.choose_fault()
            if fault == "delayed_commit":  # it would be written without this lock
                fault = None
            result = self._refunds.create(key, request.model_dump(), fields, fault, response)
        self._injector.wait_at("after_write")
        return result

    def void(self, charge_id: str) -> Record:
        """Void a charge that is under review."""
        charge = self._store.get(charge_id)
        if charge is None:
            raise HTTPException(404, "there is no such charge")
        if charge["status"] == "under_review":
            charge = self._store.update(charge_id, status="voided")
        if charge is None or charge["status"] != "voided":
            raise HTTPException(409, "the charge is not under review")
        return charge

    def decide(self, charge_id: str, decision: ReviewDecision) -> Record:
        """Decide a charge that is under review, as a reviewer would, and send the webhook."""
        charge = self._store.get(charge_id)
        if charge is None or charge["status"] != "under_review":
            raise HTTPException(409, "the charge is not under review")
        code = "review_failed" if decision.status == "declined" else None
        decided = self._store.update(charge_id, status=decision.status, decline_code=code)
        if self._webhook:
            self._webhook.send(f"charge.{decision.status}", payment_id=charge["payment_id"])
        return decided or charge


def create_router(
    store: SandboxStore, injector: FaultInjector, webhook: WebhookEndpoint | None
) -> APIRouter:
    """Return the provider's HTTP API."""
    psp = PspSandbox(store, injector, webhook)
    router = APIRouter(prefix="/psp")
    fails_in_outage = [Depends(injector.require_available)]

    @router.post("/charges", dependencies=fails_in_outage, response_model=None)
    def charge(
        request: ChargeRequest, key: IdempotencyKey, response: Response
    ) -> Response | Record:
        return psp.charge(request, key, response)

    @router.post("/refunds", dependencies=fails_in_outage, response_model=None)
    def refund(
        request: RefundRequest, key: IdempotencyKey, response: Response
    ) -> Response | Record:
        return psp.refund(request, key, response)

    @router.post("/charges/{charge_id}/void", dependencies=fails_in_outage)
    def void(charge_id: str) -> Record:
        return psp.void(charge_id)

    @router.post("/charges/{charge_id}/decide")
    def decide(charge_id: str, decision: ReviewDecision) -> Record:
        return psp.decide(charge_id, decision)

    @router.get("/charges/search", dependencies=fails_in_outage)
    def search_charges(
        payment_id: str | None = None, created_after: str = ""
    ) -> dict[str, list[Record]]:
        return charges(None, payment_id, created_after)

    @router.get("/refunds/search", dependencies=fails_in_outage)
    def search_refunds(
        refund_id: str | None = None, created_after: str = ""
    ) -> dict[str, list[Record]]:
        return refunds(None, refund_id, created_after)

    # Listing works during an outage: tests compare these records with the services' own.
    @router.get("/charges")
    def charges(
        order_id: str | None = None, payment_id: str | None = None, created_after: str = ""
    ) -> dict[str, list[Record]]:
        found = store.find(
            "charges", created_after=created_after, order_id=order_id, payment_id=payment_id
        )
        return {"charges": found}

    @router.get("/refunds")
    def refunds(
        order_id: str | None = None, refund_id: str | None = None, created_after: str = ""
    ) -> dict[str, list[Record]]:
        found = store.find(
            "refunds", created_after=created_after, order_id=order_id, refund_id=refund_id
        )
        return {"refunds": found}

    return router
