"""The carrier: takes parcels under idempotency keys, and the ways in which that goes wrong.

The first line of an address works like a provider's test card: `refused` (not delivered there),
`response_dropped` (taken, no answer), `delayed_commit` (no answer, taken seconds later),
`error_once` (a 500
first), `rate_limited` (a 429 first), `down` (a 503 each time), `slow`. Any other is taken.
"""

import threading
import time
from typing import Any, Literal

from fastapi import APIRouter, Depends, HTTPException, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict

from fuze_sandbox.answers import IdempotencyKey, no_answer
from fuze_sandbox.books import Books, Entry, KeyReusedError, Written
from fuze_sandbox.conditions import Fault, Weather
from fuze_sandbox.webhooks import WebhookTarget

_MAGIC_FAULTS: dict[str, Fault] = {
    "response_dropped": "response_dropped",
    "delayed_commit": "delayed_commit",
    "error_once": "error_once",
    "rate_limited": "rate_limited",
    "slow": "slow",
}
_SLOW_SECONDS = 3.0


class ParcelRequest(BaseModel):
    """What the carrier is asked to take."""

    model_config = ConfigDict(extra="forbid", strict=True)

    shipment_id: str
    order_id: str
    address: dict[str, str | None]
    contents: list[dict[str, Any]] = []


class Report(BaseModel):
    """How far a parcel has come."""

    status: Literal["in_transit", "delivered", "returned"]


class Depot:
    """The carrier over its books."""

    def __init__(self, books: Books, weather: Weather, target: WebhookTarget | None) -> None:
        self._books = books
        self._target = target
        self._weather = weather
        self._seen: set[str] = set()

    def accept(self, request: ParcelRequest, key: str, response: Response) -> Response | Entry:
        """Take the parcel once for `key`, unless something goes wrong."""
        self._weather.pass_gate("before_write")
        answer = self._take(request, key, response)
        self._weather.pass_gate("after_write")
        return answer

    def _take(self, request: ParcelRequest, key: str, response: Response) -> Response | Entry:
        line = request.address.get("line1") or ""
        if line == "rejected":
            return JSONResponse({"code": "not_delivered_there"}, 422)
        if line == "down":
            raise HTTPException(503, "no vehicle today", headers={"Retry-After": "1"})
        first_time = key not in self._seen
        self._seen.add(key)
        match _MAGIC_FAULTS.get(line) or self._weather.fault():
            case "error":
                raise HTTPException(500, "something broke")
            case "error_once" if first_time:
                raise HTTPException(500, "something broke")
            case "rate_limited" if first_time:
                raise HTTPException(429, "too many requests", headers={"Retry-After": "1"})
            case "delayed_commit" if first_time:
                timer = threading.Timer(
                    self._weather.conditions.late_by_seconds, self._write, [request, key]
                )
                timer.daemon = True
                timer.start()
                return no_answer()
            case "response_dropped" if first_time:
                self._write(request, key)
                return no_answer()
            case "slow":
                time.sleep(_SLOW_SECONDS)
            case _:
                pass
        written = self._write(request, key)
        if written.replayed:
            response.headers["Idempotent-Replayed"] = "true"
        response.status_code = 201
        return written.entry

    def report(self, parcel_id: str, report: Report) -> Entry:
        """Say how far a parcel has come, as a driver would."""
        changed = self._books.change(parcel_id, status=report.status)
        if changed is None:
            raise HTTPException(404, "there is no such parcel")
        if self._target:
            self._target.send(f"parcel.{report.status}", shipment_id=changed["shipment_id"])
        return changed

    def _write(self, request: ParcelRequest, key: str) -> Written:
        asked = request.model_dump()
        promise = {
            "status": "accepted",
            "carrier": "sandbox-express",
            "tracking_number": f"FZ{key.replace('-', '')[:12].upper()}",
            **asked,
        }
        try:
            return self._books.write("parcels", "pcl", key, asked, promise)
        except KeyReusedError:
            raise HTTPException(409, "the key came before with another request") from None


def routes(books: Books, weather: Weather, target: WebhookTarget | None) -> APIRouter:
    """Return the carrier's HTTP face."""
    depot = Depot(books, weather, target)
    router = APIRouter(prefix="/carrier")
    open_for_business = [Depends(weather.check)]

    @router.post("/parcels", dependencies=open_for_business, response_model=None)
    def accept(request: ParcelRequest, key: IdempotencyKey, response: Response) -> Response | Entry:
        return depot.accept(request, key, response)

    @router.post("/parcels/{parcel_id}/report")
    def report(parcel_id: str, report: Report) -> Entry:
        return depot.report(parcel_id, report)

    @router.get("/parcels/search", dependencies=open_for_business)
    def search(shipment_id: str) -> dict[str, list[Entry]]:
        return {"parcels": books.read("parcels", shipment_id=shipment_id)}

    # The books themselves can be read during an outage: they are the outside truth.
    @router.get("/parcels")
    def parcels(
        order_id: str | None = None, shipment_id: str | None = None
    ) -> dict[str, list[Entry]]:
        return {"parcels": books.read("parcels", order_id=order_id, shipment_id=shipment_id)}

    return router
