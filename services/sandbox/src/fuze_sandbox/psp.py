"""The payment service provider: charges and refunds under idempotency keys, and how both go wrong.

Payment methods work like a provider's test cards, with or without `pm_` before them:
`declined`, `insufficient_funds`, `fraud`, `under_review` (decided later), `response_dropped`
(taken, no answer),
`delayed_commit` (no answer, taken seconds later), `error_once` (a 500 first), `rate_limited` (a 429
first), `slow`. Any other is charged.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from fastapi import APIRouter, Depends, HTTPException, Response
from pydantic import BaseModel, ConfigDict, Field

from fuze_sandbox.answers import IdempotencyKey, no_answer
from fuze_sandbox.books import Books, Entry, KeyReusedError
from fuze_sandbox.conditions import Fault, Weather
from fuze_sandbox.webhooks import WebhookTarget

_DECLINES = {
    "declined": "card_declined",
    "insufficient_funds": "insufficient_funds",
    "fraud": "fraud",
}
_MAGIC_FAULTS: dict[str, Fault] = {
    "response_dropped": "response_dropped",
    "delayed_commit": "delayed_commit",
    "error_once": "error_once",
    "rate_limited": "rate_limited",
    "slow": "slow",
}
_SLOW_SECONDS = 3.0


class ChargeRequest(BaseModel):
    """What the provider is asked to take. `payment_id` is the caller's name for it."""

    model_config = ConfigDict(extra="forbid", strict=True)

    amount_minor: int = Field(gt=0)
    currency: str = Field(pattern=r"^[A-Z]{3}$")
    payment_method: str
    order_id: str
    payment_id: str
    reference: str | None = None


class RefundRequest(BaseModel):
    """What the provider is asked to give back of a charge."""

    model_config = ConfigDict(extra="forbid", strict=True)

    charge_id: str
    amount_minor: int = Field(gt=0)
    refund_id: str


class Decision(BaseModel):
    """How a held charge is decided."""

    status: str = Field(pattern="^(charged|declined)$")


@dataclass(frozen=True)
class _Errand:
    """What is asked, what is promised for it, and where that is written."""

    book: str
    prefix: str
    key: str
    asked: Entry
    promise: Entry


class Psp:
    """The provider over its books."""

    def __init__(self, books: Books, weather: Weather, target: WebhookTarget | None) -> None:
        self._books = books
        self._target = target
        self._weather = weather
        self._lock = threading.Lock()
        self._in_flight: set[str] = set()
        self._seen: set[str] = set()

    def charge(self, request: ChargeRequest, key: str, response: Response) -> Response | Entry:
        """Take the money once for `key`, unless something goes wrong."""
        method = request.payment_method.removeprefix("pm_")
        code = _DECLINES.get(method)
        status = "declined" if code else "under_review" if method == "under_review" else "charged"
        asked = request.model_dump()
        promise = {"status": status, "decline_code": code, **asked}
        fault = _MAGIC_FAULTS.get(method) or self._weather.fault()
        self._weather.pass_gate("before_write")
        answer = self._carry_out(_Errand("charges", "ch", key, asked, promise), fault, response)
        self._weather.pass_gate("after_write")
        return answer

    def refund(self, request: RefundRequest, key: str, response: Response) -> Response | Entry:
        """Give money back once for `key`."""
        asked = request.model_dump()
        charge = self._books.entry(request.charge_id)
        if charge is None or charge["status"] != "charged":
            raise HTTPException(404, "there is no such charge")
        with self._lock:
            known = self._remembered("refunds", key, asked)
            given = sum(
                one["amount_minor"]
                for one in self._books.read("refunds", charge_id=request.charge_id)
            )
            if known is None and given + request.amount_minor > charge["amount_minor"]:
                raise HTTPException(422, "more than was taken")
            promise = {"status": "refunded", "order_id": charge["order_id"], **asked}
            fault = self._weather.fault()
            job = _Errand("refunds", "re", key, asked, promise)
            return self._carry_out(job, fault, response, late=False)

    def void(self, charge_id: str) -> Entry:
        """Let go of a held charge."""
        charge = self._books.entry(charge_id)
        if charge is None:
            raise HTTPException(404, "there is no such charge")
        if charge["status"] == "under_review":
            charge = self._books.change(charge_id, status="voided")
        if charge is None or charge["status"] != "voided":
            raise HTTPException(409, "the charge is not held")
        return charge

    def decide(self, charge_id: str, decision: Decision) -> Entry:
        """Decide a held charge, as a reviewer would."""
        charge = self._books.entry(charge_id)
        if charge is None or charge["status"] != "under_review":
            raise HTTPException(409, "the charge is not held")
        code = "review_failed" if decision.status == "declined" else None
        changed = self._books.change(charge_id, status=decision.status, decline_code=code)
        if self._target:
            self._target.send(f"charge.{decision.status}", payment_id=charge["payment_id"])
        return changed or charge

    def _remembered(self, book: str, key: str, asked: Entry) -> Entry | None:
        if not self._weather.conditions.honour_keys:
            return None
        try:
            return self._books.remembered(book, key, asked)
        except KeyReusedError:
            raise HTTPException(409, "the key came before with another request") from None

    def _carry_out(
        self, job: _Errand, fault: Fault | None, response: Response, *, late: bool = True
    ) -> Response | Entry:
        key = job.key
        if known := self._remembered(job.book, key, job.asked):
            response.headers["Idempotent-Replayed"] = "true"
            return known
        first_time = key not in self._seen
        self._seen.add(key)
        honoured = self._weather.conditions.honour_keys
        written_under = key if honoured else f"{key}/{time.time_ns()}"

        def write() -> Entry:
            return self._books.write(
                job.book, job.prefix, written_under, job.asked, job.promise
            ).entry

        match fault:
            case "error":
                raise HTTPException(500, "something broke")
            case "error_once" if first_time:
                raise HTTPException(500, "something broke")
            case "rate_limited" if first_time:
                raise HTTPException(429, "too many requests", headers={"Retry-After": "1"})
            case "delayed_commit" if late and (first_time or not honoured):
                self._write_late(key, write, honoured=honoured)
                return no_answer()
            case "response_dropped" if first_time or not honoured:
                write()
                return no_answer()
            case "slow":
                time.sleep(_SLOW_SECONDS)
            case _:
                pass
        if honoured and key in self._in_flight:
            raise HTTPException(409, "a request with this key is in flight", {"Retry-After": "1"})
        return write()

    def _write_late(self, key: str, write: Callable[[], Entry], *, honoured: bool) -> None:
        def land() -> None:
            write()
            self._in_flight.discard(key)

        if honoured:
            self._in_flight.add(key)
        timer = threading.Timer(self._weather.conditions.late_by_seconds, land)
        timer.daemon = True
        timer.start()


def routes(books: Books, weather: Weather, target: WebhookTarget | None) -> APIRouter:
    """Return the provider's HTTP face."""
    psp = Psp(books, weather, target)
    router = APIRouter(prefix="/psp")
    open_for_business = [Depends(weather.check)]

    @router.post("/charges", dependencies=open_for_business, response_model=None)
    def charge(request: ChargeRequest, key: IdempotencyKey, response: Response) -> Response | Entry:
        return psp.charge(request, key, response)

    @router.post("/refunds", dependencies=open_for_business, response_model=None)
    def refund(request: RefundRequest, key: IdempotencyKey, response: Response) -> Response | Entry:
        return psp.refund(request, key, response)

    @router.post("/charges/{charge_id}/void", dependencies=open_for_business)
    def void(charge_id: str) -> Entry:
        return psp.void(charge_id)

    @router.post("/charges/{charge_id}/decide")
    def decide(charge_id: str, decision: Decision) -> Entry:
        return psp.decide(charge_id, decision)

    @router.get("/charges/search", dependencies=open_for_business)
    def search_charges(
        payment_id: str | None = None, created_after: str = ""
    ) -> dict[str, list[Entry]]:
        return charges(None, payment_id, created_after)

    @router.get("/refunds/search", dependencies=open_for_business)
    def search_refunds(
        refund_id: str | None = None, created_after: str = ""
    ) -> dict[str, list[Entry]]:
        return refunds(None, refund_id, created_after)

    # The books themselves can be read during an outage: they are the outside truth.
    @router.get("/charges")
    def charges(
        order_id: str | None = None, payment_id: str | None = None, created_after: str = ""
    ) -> dict[str, list[Entry]]:
        found = books.read(
            "charges", created_after=created_after, order_id=order_id, payment_id=payment_id
        )
        return {"charges": found}

    @router.get("/refunds")
    def refunds(
        order_id: str | None = None, refund_id: str | None = None, created_after: str = ""
    ) -> dict[str, list[Entry]]:
        found = books.read(
            "refunds", created_after=created_after, order_id=order_id, refund_id=refund_id
        )
        return {"refunds": found}

    return router
