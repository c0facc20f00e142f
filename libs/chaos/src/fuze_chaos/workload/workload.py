"""The workload: plays the scenarios of a seed through the gateway, many orders at a time."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import Any

import httpx
import stamina
from temporalio.client import Client
from temporalio.service import RPCError

from fuze_chaos.reference_model import TERMINAL_STATUSES
from fuze_chaos.workload.client import Request, WorkloadClient
from fuze_chaos.workload.scenarios import Action, Scenario, build_scenario
from fuze_devstack import http_client

_MAX_CONCURRENT_ORDERS = 400
_BURST_SIZE = 50
_FIRST_BURST_NUMBER = 10**9
_POLL_SECONDS = 0.7
_POLL_TIMEOUT_SECONDS = 150.0

_ROUTES = {
    "approve": ("POST", "/approve"),
    "reject": ("POST", "/reject"),
    "cancel": ("POST", "/cancel"),
    "change-address": ("PUT", "/address"),
    "change-payment-method": ("PUT", "/payment-method"),
    "refund": ("POST", "/refunds"),
    "return": ("POST", "/returns"),
    "signal-approve": ("POST", "/signals/approve"),
    "signal-cancel": ("POST", "/signals/cancel"),
    "signal-change-address": ("POST", "/signals/change-address"),
}

_WITH_KEY = frozenset({"refund", "return"})


class Workload:
    """Plays the orders of a seed. The sandbox and Temporal are reached past all proxies."""

    def __init__(self, client: WorkloadClient, *, sandbox: str, temporal: Client) -> None:
        self._client = client
        self._sandbox = sandbox
        self._temporal = temporal
        self._slots = asyncio.Semaphore(_MAX_CONCURRENT_ORDERS)
        self._with_undecided_return: set[str] = set()

    async def run(
        self, seed: int, orders: int, rate: float, on_finished: Callable[[], None] = lambda: None
    ) -> None:
        """Play so many orders, `rate` of them per second; return when every action is done."""
        async with asyncio.TaskGroup() as group:
            for number in range(orders):
                await self._slots.acquire()
                task = group.create_task(self._play(build_scenario(seed, number)))
                task.add_done_callback(lambda _: self._slots.release())
                task.add_done_callback(lambda _: on_finished())
                await asyncio.sleep(1 / rate)

    async def duplicate_burst(self, seed: int, number: int) -> None:
        """Place one order with 50 concurrent requests, and approve it with 50."""
        scenario = build_scenario(seed, _FIRST_BURST_NUMBER + number)
        approve = Action("approve", body={"actor": "grace"}, copies=_BURST_SIZE)
        await self._play(
            replace(scenario, name="duplicate-burst", actions=(approve,), copies=_BURST_SIZE)
        )

    async def _play(self, scenario: Scenario) -> None:
        order_id = await self._place(scenario)
        if order_id is None:
            return
        for number, action in enumerate(scenario.actions):
            if action.wait_for and not await self._wait_for_status(order_id, action.wait_for):
                continue
            await asyncio.sleep(action.delay)
            await asyncio.gather(
                *(
                    self._perform(order_id, action, f"{action.operation}-{order_id}-{number}-{key}")
                    for _ in range(action.copies)
                    for key in range(action.keys)
                )
            )

    async def _place(self, scenario: Scenario) -> str | None:
        """Place the order, and return its id; None if no request was accepted."""
        responses = await asyncio.gather(
            *(self._client.send(_place_request(scenario)) for _ in range(scenario.copies))
        )
        accepted = [one for one in responses if one is not None and one.is_success]
        if not accepted:
            return None
        if scenario.reuses_key:
            await self._client.send(_place_request(scenario, reuse_key=True))
        order_id: str = accepted[0].json()["order_id"]
        return order_id

    async def _wait_for_status(self, order_id: str, statuses: frozenset[str]) -> bool:
        """Wait for one of the statuses; False if the order ends in another, or at the timeout.

        The first read queries the workflow, too. Hundreds of orders that wait for the end of a
        fault would otherwise load Temporal with queries, and delay that end.
        """
        for attempt in range(int(_POLL_TIMEOUT_SECONDS / _POLL_SECONDS)):
            path = f"/orders/{order_id}"
            found = await self._client.read(path if attempt else f"{path}/status")
            if found is not None:
                if found["status"] in statuses:
                    return True
                if found["status"] in TERMINAL_STATUSES:
                    return False
            await asyncio.sleep(_POLL_SECONDS)
        return False

    async def _perform(self, order_id: str, action: Action, key: str) -> None:
        match action.operation:
            case "decide-review":
                await self._decide_review(order_id, action.body)
            case "cancel-workflow":
                await self._cancel_workflow(order_id)
            case "return":
                await self._return_goods(order_id, action, key)
            case _:
                await self._client.send(_action_request(order_id, action, key))

    async def _return_goods(self, order_id: str, action: Action, key: str) -> None:
        """Request a return, and change it; cancel it if the last change is refused.

        Nothing else ends it, and its workflow would stay open.
        """
        response = await self._client.send(_action_request(order_id, action, key))
        if response is not None and response.is_success:
            url = response.json()["return_url"]
            for change in action.then:
                response = await self._change_return(order_id, url, change)
            if response is not None and not response.is_success:
                response = await self._change_return(order_id, url, "cancel")
        if response is None:
            self._with_undecided_return.add(order_id)

    async def cancel_undecided_returns(self) -> None:
        """Cancel the returns to which no response came: each may be stored, and waits for ever."""
        for order_id in self._with_undecided_return:
            found = await self._client.read(f"/orders/{order_id}/returns")
            for one in found["returns"] if found else ():
                if one["status"] in {"requested", "approved"}:
                    url = f"/orders/{order_id}/returns/{one['return_id']}"
                    await self._change_return(order_id, url, "cancel")

    async def _change_return(self, order_id: str, url: str, change: str) -> httpx.Response | None:
        return await self._client.send(
            Request(
                operation=f"return-{change}",
                order_id=order_id,
                method="POST",
                path=f"{url}/{change}",
                body={"actor": "grace"},
            )
        )

    async def _decide_review(self, order_id: str, decision: dict[str, Any]) -> None:
        """Decide a payment under review, as a reviewer of the provider would."""
        async with http_client.create_client(self._sandbox) as provider:
            for _ in range(int(_POLL_TIMEOUT_SECONDS / _POLL_SECONDS)):
                try:
                    response = await provider.get("/psp/charges", params={"order_id": order_id})
                    charges = response.raise_for_status().json()["charges"]
                    pending = [one for one in charges if one["status"] == "under_review"]
                    if pending:
                        path = f"/psp/charges/{pending[0]['id']}/decide"
                        (await provider.post(path, json=decision)).raise_for_status()
                    if charges:
                        return
                except httpx.HTTPError:
                    pass  # the sandbox may be down, or answer with an error, because of a fault
                found = await self._client.read(f"/orders/{order_id}")
                if found is not None and found["status"] in TERMINAL_STATUSES:
                    return
                await asyncio.sleep(_POLL_SECONDS)

    @asynccontextmanager
    async def reviewing_late_charges(self) -> AsyncIterator[None]:
        """Decide all charges under review during the block.

        An order may have been charged only after its reviewer had given up: nothing else would
        ever decide it.
        """
        reviewing = asyncio.create_task(self._decide_all_reviews())
        try:
            yield
        finally:
            reviewing.cancel()
            with suppress(asyncio.CancelledError):
                await reviewing

    async def _decide_all_reviews(self) -> None:
        async with http_client.create_client(self._sandbox) as provider:
            while True:
                with suppress(httpx.HTTPError):
                    response = await provider.get("/psp/charges")
                    for charge in response.raise_for_status().json()["charges"]:
                        if charge["status"] == "under_review":
                            path = f"/psp/charges/{charge['id']}/decide"
                            await provider.post(path, json={"status": "charged"})
                await asyncio.sleep(4 * _POLL_SECONDS)  # it reads all charges

    async def _cancel_workflow(self, order_id: str) -> None:
        """Cancel the workflow in Temporal itself, past the gateway."""
        retries = stamina.retry_context(on=RPCError, attempts=5, wait_initial=1, wait_max=1)
        try:
            async for attempt in retries:
                with attempt:
                    await self._temporal.get_workflow_handle(f"order/{order_id}").cancel()
        except RPCError:
            pass  # Temporal is down for longer, or the order has ended


def _place_request(scenario: Scenario, *, reuse_key: bool = False) -> Request:
    body = scenario.body
    if reuse_key:
        body = body | {"customer": "another-customer@example.com"}
    key = scenario.idempotency_key
    return Request(
        operation="place",
        order_id=str(scenario.order_id),
        method="POST",
        path="/orders" if key else f"/orders/{scenario.order_id}/start",
        body=body,
        idempotency_key=key,
        identity=key or str(scenario.order_id),
        is_key_reuse=reuse_key,
    )


def _action_request(order_id: str, action: Action, key: str) -> Request:
    method, path = _ROUTES[action.operation]
    identity = key if action.operation in _WITH_KEY else None
    return Request(
        operation=action.operation,
        order_id=order_id,
        method=method,
        path=f"/orders/{order_id}{path}",
        body=action.body or None,
        idempotency_key=identity,
        identity=identity,
    )
