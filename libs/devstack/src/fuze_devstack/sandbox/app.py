"""The HTTP faces of the sandbox: `/psp`, `/carrier` and `/control`."""

from typing import Any

from fastapi import APIRouter, Depends, FastAPI, HTTPException, Response
from pydantic import BaseModel, ConfigDict

from fuze_devstack.sandbox import psp
from fuze_devstack.sandbox.books import Books, Entry, KeyReusedError
from fuze_devstack.sandbox.conditions import Conditions, Part, Weather
from fuze_devstack.sandbox.webhooks import WebhookTarget


class ParcelRequest(BaseModel):
    """What the carrier is asked to take."""

    model_config = ConfigDict(extra="forbid", strict=True)

    shipment_id: str
    order_id: str
    address: dict[str, str | None]
    contents: list[dict[str, Any]] = []


def create_app(books: Books, target: WebhookTarget | None = None) -> FastAPI:
    """Return the sandbox over these books; webhooks go to `target`."""
    weathers: dict[Part, Weather] = {
        "psp": Weather("psp", books),
        "carrier": Weather("carrier", books),
    }
    app = FastAPI(title="Fuze sandbox")
    app.include_router(psp.routes(books, weathers["psp"], target))
    app.include_router(_carrier(books, weathers["carrier"]))

    @app.get("/healthz")
    def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/control")
    def control() -> dict[str, bool]:
        return {part: books.available(part) for part in weathers}

    @app.put("/control/{part}")
    def set_conditions(part: Part, conditions: Conditions) -> Conditions:
        weathers[part].change(conditions)
        return conditions

    return app


def _carrier(books: Books, weather: Weather) -> APIRouter:
    router = APIRouter(prefix="/carrier")

    @router.post("/parcels", status_code=201, dependencies=[Depends(weather.check)])
    def accept(request: ParcelRequest, key: psp.IdempotencyKey, response: Response) -> Entry:
        asked = request.model_dump()
        promise = {
            "status": "accepted",
            "carrier": "sandbox-express",
            "tracking_number": f"FZ{key.replace('-', '')[:12].upper()}",
            **asked,
        }
        try:
            written = books.write("parcels", "pcl", key, asked, promise)
        except KeyReusedError:
            raise HTTPException(409, "the key came before with another request") from None
        if written.replayed:
            response.headers["Idempotent-Replayed"] = "true"
        return written.entry

    @router.get("/parcels")
    def parcels(
        order_id: str | None = None, shipment_id: str | None = None
    ) -> dict[str, list[Entry]]:
        return {"parcels": books.read("parcels", order_id=order_id, shipment_id=shipment_id)}

    return router
