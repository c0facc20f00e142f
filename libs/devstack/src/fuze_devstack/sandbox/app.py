"""The HTTP faces of the sandbox: `/psp`, `/carrier` and `/control`."""

import time
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, FastAPI, Header, HTTPException, Response
from pydantic import BaseModel, ConfigDict, Field

from fuze_devstack.sandbox.books import Books, Entry, KeyReusedError

Part = Literal["psp", "carrier"]
IdempotencyKey = Annotated[str, Header(alias="Idempotency-Key", min_length=1, max_length=255)]

_DECLINES = {
    "declined": "card_declined",
    "insufficient_funds": "insufficient_funds",
    "fraud": "fraud",
}
"""Magic payment methods, with or without `pm_` before them; any other is charged."""


class ChargeRequest(BaseModel):
    """What the provider is asked to take."""

    model_config = ConfigDict(extra="forbid", strict=True)

    amount_minor: int = Field(gt=0)
    currency: str = Field(pattern=r"^[A-Z]{3}$")
    payment_method: str
    order_id: str
    reference: str | None = None


class ParcelRequest(BaseModel):
    """What the carrier is asked to take."""

    model_config = ConfigDict(extra="forbid", strict=True)

    shipment_id: str
    order_id: str
    address: dict[str, str | None]
    contents: list[dict[str, Any]] = []


class Conditions(BaseModel):
    """Whether a part answers, and after how long; the delay lasts until the sandbox restarts."""

    model_config = ConfigDict(extra="forbid")

    available: bool = True
    delay_seconds: float = Field(0, ge=0, le=600)


def create_app(books: Books) -> FastAPI:
    """Return the sandbox over these books."""
    app = FastAPI(title="Fuze sandbox")
    app.include_router(_psp(books))
    app.include_router(_carrier(books))

    @app.get("/healthz")
    def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/control")
    def control() -> dict[str, bool]:
        return {part: books.available(part) for part in ("psp", "carrier")}

    @app.put("/control/{part}")
    def set_conditions(part: Part, wanted: Conditions) -> dict[str, bool]:
        books.set_available(part, available=wanted.available)
        books.delays[part] = wanted.delay_seconds
        return control()

    return app


def _psp(books: Books) -> APIRouter:
    router = APIRouter(prefix="/psp", dependencies=[Depends(_open_for_business(books, "psp"))])

    @router.post("/charges")
    def charge(request: ChargeRequest, key: IdempotencyKey, response: Response) -> Entry:
        code = _DECLINES.get(request.payment_method.removeprefix("pm_"))
        promise = {
            "status": "declined" if code else "charged",
            "decline_code": code,
            **request.model_dump(),
        }
        return _answer(books, "charges", "ch", key, request.model_dump(), promise, response)

    @router.get("/charges")
    def charges(
        order_id: str | None = None, idempotency_key: str | None = None, status: str | None = None
    ) -> dict[str, list[Entry]]:
        found = books.read(
            "charges", order_id=order_id, idempotency_key=idempotency_key, status=status
        )
        return {"charges": found}

    return router


def _carrier(books: Books) -> APIRouter:
    open_for_business = Depends(_open_for_business(books, "carrier"))
    router = APIRouter(prefix="/carrier", dependencies=[open_for_business])

    @router.post("/parcels", status_code=201)
    def accept(request: ParcelRequest, key: IdempotencyKey, response: Response) -> Entry:
        promise = {
            "status": "accepted",
            "carrier": "sandbox-express",
            "tracking_number": f"FZ{key.replace('-', '')[:12].upper()}",
            **request.model_dump(),
        }
        return _answer(books, "parcels", "pcl", key, request.model_dump(), promise, response)

    @router.get("/parcels")
    def parcels(
        order_id: str | None = None, shipment_id: str | None = None
    ) -> dict[str, list[Entry]]:
        return {"parcels": books.read("parcels", order_id=order_id, shipment_id=shipment_id)}

    return router


def _open_for_business(books: Books, part: Part) -> Any:  # noqa: ANN401 - a FastAPI dependency
    def check() -> None:
        if not books.available(part):
            raise HTTPException(503, f"the {part} is down", headers={"Retry-After": "1"})
        time.sleep(books.delays.get(part, 0))  # in a thread of its own: others are served meanwhile

    return check


def _answer(  # noqa: PLR0913, PLR0917 - the two parts of a promise, and where it goes
    books: Books,
    book: str,
    prefix: str,
    key: str,
    request: Entry,
    promise: Entry,
    response: Response,
) -> Entry:
    try:
        written = books.write(book, prefix, key, request, promise)
    except KeyReusedError:
        raise HTTPException(409, "the idempotency key came before with another request") from None
    if written.replayed:
        response.headers["Idempotent-Replayed"] = "true"
    return written.entry
