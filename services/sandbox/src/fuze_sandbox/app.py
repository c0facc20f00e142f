"""The HTTP faces of the sandbox: `/psp`, `/carrier` and `/control`."""

from fastapi import FastAPI

from fuze_sandbox import carrier, psp
from fuze_sandbox.books import Books
from fuze_sandbox.conditions import Conditions, Part, State, Weather
from fuze_sandbox.webhooks import WebhookTarget


def create_app(
    books: Books,
    psp_target: WebhookTarget | None = None,
    carrier_target: WebhookTarget | None = None,
) -> FastAPI:
    """Return the sandbox over these books; webhooks go to the targets."""
    weathers: dict[Part, Weather] = {
        "psp": Weather("psp", books),
        "carrier": Weather("carrier", books),
    }
    app = FastAPI(title="Fuze sandbox")
    app.include_router(psp.routes(books, weathers["psp"], psp_target))
    app.include_router(carrier.routes(books, weathers["carrier"], carrier_target))

    @app.get("/readyz")
    def readyz() -> dict[str, str]:
        return {"status": "ready"}

    @app.get("/control")
    def control() -> dict[str, bool]:
        return {part: books.available(part) for part in weathers}

    @app.get("/control/{part}")
    def state(part: Part) -> State:
        return weathers[part].state

    @app.put("/control/{part}")
    def set_conditions(part: Part, conditions: Conditions) -> Conditions:
        weathers[part].change(conditions)
        return conditions

    return app
