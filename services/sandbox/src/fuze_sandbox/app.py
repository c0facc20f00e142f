"""The sandbox's HTTP API: the parts `/psp` and `/carrier`, and their `/control`."""

from fastapi import FastAPI

from fuze_sandbox import carrier, psp
from fuze_sandbox.fault_profile import FaultInjector, FaultProfile, Part, PartStatus
from fuze_sandbox.store import SandboxStore
from fuze_sandbox.webhooks import WebhookEndpoint


def create_app(
    store: SandboxStore,
    psp_webhook: WebhookEndpoint | None = None,
    carrier_webhook: WebhookEndpoint | None = None,
) -> FastAPI:
    """Return the sandbox over these records; without an endpoint a part sends no webhooks."""
    injectors: dict[Part, FaultInjector] = {
        "psp": FaultInjector("psp", store),
        "carrier": FaultInjector("carrier", store),
    }
    app = FastAPI(title="Fuze sandbox")
    app.include_router(psp.create_router(store, injectors["psp"], psp_webhook))
    app.include_router(carrier.create_router(store, injectors["carrier"], carrier_webhook))

    @app.get("/readyz")
    def readyz() -> dict[str, str]:
        return {"status": "ready"}

    @app.get("/control")
    def availability() -> dict[str, bool]:
        return {part: store.is_available(part) for part in injectors}

    @app.get("/control/{part}")
    def status(part: Part) -> PartStatus:
        return injectors[part].status

    @app.put("/control/{part}")
    def set_fault_profile(part: Part, profile: FaultProfile) -> FaultProfile:
        injectors[part].set_profile(profile)
        return profile

    return app
