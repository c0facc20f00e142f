"""What a fault profile does to requests, and what is recorded nevertheless."""

import asyncio

import httpx
import pytest

from fuze_sandbox.fault_profile import Fault, FaultInjector, FaultProfile
from fuze_sandbox.store import SandboxStore

_PARCEL = {"shipment_id": "a-shipment", "order_id": "an-order", "address": {"zip_code": "10001"}}


async def send(http: httpx.AsyncClient, key: str = "key") -> httpx.Response:
    return await http.post("/carrier/parcels", json=_PARCEL, headers={"Idempotency-Key": key})


async def test_during_an_outage_nothing_is_recorded_and_records_can_be_listed(
    http: httpx.AsyncClient, store: SandboxStore
) -> None:
    await http.put("/control/carrier", json={"available": False})

    assert (await send(http)).status_code == 503
    assert (await http.get("/control")).json() == {"psp": True, "carrier": False}
    assert (await http.get("/carrier/parcels")).json() == {"parcels": []}
    await http.put("/control/carrier", json={"available": True})
    assert (await send(http)).status_code == 201
    assert len(store.find("parcels")) == 1


@pytest.mark.parametrize(
    ("fault", "first", "second"), [("error_once", 500, 201), ("rate_limited", 429, 201)]
)
async def test_a_transient_fault_hits_the_first_request_only(
    http: httpx.AsyncClient, store: SandboxStore, fault: Fault, first: int, second: int
) -> None:
    await http.put("/control/carrier", json={"faults": {fault: 1}})

    assert (await send(http)).status_code == first
    assert store.find("parcels") == []
    assert (await send(http)).status_code == second


async def test_a_dropped_response_is_of_a_parcel_that_is_recorded(
    http: httpx.AsyncClient, store: SandboxStore
) -> None:
    await http.put("/control/carrier", json={"faults": {"response_dropped": 1}})

    with pytest.raises(ConnectionAbortedError):
        await send(http)

    [parcel] = store.find("parcels")
    assert (await send(http)).json() == parcel


async def test_a_delayed_commit_is_in_flight_until_it_is_recorded(
    http: httpx.AsyncClient, store: SandboxStore
) -> None:
    profile = {"faults": {"delayed_commit": 1}, "commit_delay_seconds": 2}
    await http.put("/control/carrier", json=profile)

    with pytest.raises(ConnectionAbortedError):
        await send(http)
    assert store.find("parcels") == []
    assert (await send(http)).status_code == 409

    async with asyncio.timeout(10):
        while not store.find("parcels"):
            await asyncio.sleep(0.01)
    assert (await send(http)).status_code == 201


@pytest.mark.parametrize(("breakpoint_", "recorded"), [("before_write", 0), ("after_write", 1)])
async def test_a_request_is_paused_at_a_breakpoint_until_it_is_released(
    http: httpx.AsyncClient, store: SandboxStore, breakpoint_: str, recorded: int
) -> None:
    await http.put("/control/carrier", json={"pause_at": breakpoint_})
    request = asyncio.ensure_future(send(http))
    async with asyncio.timeout(10):
        while not (await http.get("/control/carrier")).json()["paused_requests"]:
            await asyncio.sleep(0.01)
    assert len(store.find("parcels")) == recorded

    await http.put("/control/carrier", json={})

    assert (await request).status_code == 201
    assert (await http.get("/control/carrier")).json()["paused_requests"] == 0


async def test_a_pause_of_many_requests_can_be_ended(http: httpx.AsyncClient) -> None:
    await http.put("/control/carrier", json={"pause_at": "before_write"})
    requests = [asyncio.ensure_future(send(http, str(number))) for number in range(60)]
    async with asyncio.timeout(10):
        await asyncio.wait(requests, return_when=asyncio.FIRST_COMPLETED)
        assert (await http.get("/control/carrier")).json()["paused_requests"] == 10

        await http.put("/control/carrier", json={})
        await asyncio.gather(*requests)


async def test_an_unknown_setting_is_rejected(http: httpx.AsyncClient) -> None:
    assert (await http.put("/control/psp", json={"hold": "before_write"})).status_code == 422


def test_the_same_seed_draws_the_same_faults(store: SandboxStore) -> None:
    profile = FaultProfile(faults={"error": 0.3, "slow": 0.3}, seed=7)
    injector = FaultInjector("psp", store)

    def draw() -> list[Fault | None]:
        injector.set_profile(profile)
        return [injector.choose_fault() for _ in range(50)]

    first = draw()

    assert draw() == first
    assert set(first) == {"error", "slow", None}


async def test_the_requests_of_a_part_are_counted(http: httpx.AsyncClient) -> None:
    await send(http)
    await send(http)

    assert (await http.get("/control/carrier")).json()["requests"] == 2
    assert (await http.get("/control/psp")).json()["requests"] == 0
