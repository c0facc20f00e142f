"""What the workload does past the gateway."""

import asyncio
from typing import Any, cast

import httpx
import pytest
from temporalio.client import Client

from fuze_chaos.workload import workload
from fuze_chaos.workload.client import Request, WorkloadClient
from fuze_chaos.workload.scenarios import Action
from fuze_devstack import http_client


class ReviewingProvider(httpx.AsyncBaseTransport):
    """Has one charge under review, and fails so many requests before it decides."""

    def __init__(self, failures: int) -> None:
        self.failures = failures
        self.status = "under_review"

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            if self.failures:
                self.failures -= 1
                return httpx.Response(503, request=request)
            self.status = "charged"
        body = {"charges": [{"id": "ch_1", "status": self.status}]}
        return httpx.Response(200, json=body, request=request)


class NoGateway:
    async def read(self, path: str) -> None:
        """Answer as a gateway that is down."""
        del path


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> ReviewingProvider:
    provider = ReviewingProvider(failures=2)

    def create_client(base_url: str) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=base_url, transport=provider)

    monkeypatch.setattr(http_client, "create_client", create_client)
    monkeypatch.setattr(workload, "_POLL_SECONDS", 0.01)
    return provider


@pytest.fixture
def reviewing() -> workload.Workload:
    return workload.Workload(
        cast("WorkloadClient", NoGateway()),
        sandbox="http://sandbox",
        temporal=cast("Client", None),
    )


async def test_a_review_is_decided_although_the_provider_fails_at_first(
    reviewing: workload.Workload, provider: ReviewingProvider
) -> None:
    decision: dict[str, Any] = {"status": "charged"}

    await reviewing._decide_review("an-order", decision)

    assert provider.status == "charged"


async def test_a_review_whose_reviewer_has_given_up_is_decided_at_the_end(
    reviewing: workload.Workload, provider: ReviewingProvider
) -> None:
    async with reviewing.reviewing_late_charges(), asyncio.timeout(10):
        while provider.status != "charged":
            await asyncio.sleep(0.01)


class GatewayWithAReturn:
    """Accepts a return, and all changes but these; knows the operations that it got.

    The response to some is `lost`, and the return stays as requested.
    """

    def __init__(self, *refused: str, lost: str | None = None) -> None:
        self.refused = refused
        self.lost = lost
        self.operations: list[str] = []

    async def read(self, path: str) -> dict[str, Any]:
        """Return the order's returns."""
        assert path == "/orders/an-order/returns"
        return {"returns": [{"return_id": "a-return", "status": "requested"}]}

    async def send(self, request: Request) -> httpx.Response | None:
        """Answer as the gateway does."""
        self.operations.append(request.operation)
        if request.operation == self.lost:
            return None
        status = 409 if request.operation in self.refused else 200
        return httpx.Response(status, json={"return_url": "/orders/an-order/returns/a-return"})


@pytest.mark.parametrize(
    ("refused", "operations"),
    [
        ([], ["return", "return-approve", "return-receive"]),
        (["return"], ["return"]),
        (["return-approve"], ["return", "return-approve", "return-receive"]),
        (
            ["return-approve", "return-receive"],
            ["return", "return-approve", "return-receive", "return-cancel"],
        ),
    ],
    ids=["accepted", "refused", "approved by another request", "not received"],
)
async def test_a_return_whose_last_change_is_refused_is_cancelled(
    refused: list[str], operations: list[str]
) -> None:
    gateway = GatewayWithAReturn(*refused)
    playing = workload.Workload(
        cast("WorkloadClient", gateway), sandbox="http://sandbox", temporal=cast("Client", None)
    )

    await playing._perform("an-order", Action("return", then=("approve", "receive")), "a-key")

    assert gateway.operations == operations


@pytest.mark.parametrize("lost", ["return", "return-receive", None])
async def test_a_return_to_which_no_response_came_is_cancelled_in_the_end(lost: str | None) -> None:
    gateway = GatewayWithAReturn(lost=lost)
    playing = workload.Workload(
        cast("WorkloadClient", gateway), sandbox="http://sandbox", temporal=cast("Client", None)
    )
    await playing._perform("an-order", Action("return", then=("approve", "receive")), "a-key")
    before = list(gateway.operations)
    assert "return-cancel" not in before

    await playing.cancel_undecided_returns()

    assert gateway.operations == before + (["return-cancel"] if lost else [])
