"""Retries, problems, pages and streams, against a real HTTP server."""

import json

import httpx
import pytest
from api_examples import ACCEPTED, COMMAND, ORDER_ID, event, list_of_orders
from scripted_server import Response, ScriptedServer, problem

from fuze_client import (
    AsyncFuzeClient,
    FuzeClient,
    NoResponseError,
    ProblemError,
    UnexpectedResponseError,
)
from fuze_client.requests import OrderLineRequest, PlaceOrderRequest

_ORDER = PlaceOrderRequest(
    lines=[OrderLineRequest(sku="TEAPOT-1", quantity=3, unit_price_minor=1999)]
)
_AT_ONCE = {"Retry-After": "0"}


def _stream(*messages: str) -> Response:
    return Response(200, "".join(messages), {"Content-Type": "text/event-stream"})


def _message(seq: int) -> str:
    return f"event: order_approved\ndata: {json.dumps(event(seq))}\nid: {seq}\n\n"


def test_a_request_that_is_repeated_after_an_outage_has_the_same_key(
    server: ScriptedServer,
) -> None:
    outage = problem("unavailable", 503)
    outage.headers |= _AT_ONCE
    server.respond(outage, Response(is_broken=True), Response(202, ACCEPTED))

    with FuzeClient(server.url, token="fz_key") as fuze:
        accepted = fuze.orders.place(_ORDER)

    assert str(accepted.order_id) == ORDER_ID
    assert len({one.headers["idempotency-key"] for one in server.requests}) == 1
    assert {one.headers["authorization"] for one in server.requests} == {"Bearer fz_key"}
    assert [one.body for one in server.requests] == [
        {"lines": [{"sku": "TEAPOT-1", "quantity": 3, "unit_price_minor": 1999}]}
    ] * 3


async def test_the_async_client_repeats_requests_too(server: ScriptedServer) -> None:
    server.respond(Response(is_broken=True), Response(200, COMMAND))

    async with AsyncFuzeClient(server.url) as fuze:
        order = await fuze.orders.approve(ORDER_ID, actor="grace")

    assert order.status == "approved"
    assert [one.body for one in server.requests] == [{"actor": "grace"}] * 2


def test_each_call_without_a_key_has_another_one(server: ScriptedServer) -> None:
    server.respond(Response(202, ACCEPTED), Response(202, ACCEPTED))

    with FuzeClient(server.url) as fuze:
        fuze.orders.place(_ORDER)
        fuze.orders.place(_ORDER)

    first, second = (one.headers["idempotency-key"] for one in server.requests)
    assert first != second


def test_a_problem_is_an_exception_with_its_code_and_members(server: ScriptedServer) -> None:
    server.respond(problem("refund-too-large", 409, refundable_minor=500))

    with FuzeClient(server.url) as fuze, pytest.raises(ProblemError, match="It is") as caught:
        fuze.payments.refund(ORDER_ID, amount_minor=600)

    assert (caught.value.code, caught.value.status) == ("refund-too-large", 409)
    assert caught.value.extensions == {"refundable_minor": 500}
    assert not caught.value.is_repeat


def test_a_problem_has_the_invalid_fields(server: ScriptedServer) -> None:
    errors = [{"loc": ["body", "lines", 0, "sku"], "message": "is too long"}]
    server.respond(problem("invalid-request", 422, errors=errors))

    with FuzeClient(server.url) as fuze, pytest.raises(ProblemError) as caught:
        fuze.orders.place(_ORDER)

    [field] = caught.value.problem.errors
    assert field.loc == ("body", "lines", 0, "sku")


def test_a_problem_after_a_lost_response_may_be_due_to_the_first_attempt(
    server: ScriptedServer,
) -> None:
    server.respond(Response(is_broken=True), problem("already-approved", 409))

    with FuzeClient(server.url) as fuze, pytest.raises(ProblemError) as caught:
        fuze.orders.approve(ORDER_ID)

    assert caught.value.is_repeat


def test_the_response_of_a_proxy_is_a_problem_without_a_type(server: ScriptedServer) -> None:
    server.respond(Response(404, "<h1>Not here</h1>", {"Content-Type": "text/html"}))

    with FuzeClient(server.url) as fuze, pytest.raises(ProblemError, match="Not Found") as caught:
        fuze.orders.get(ORDER_ID)

    assert (caught.value.status, caught.value.problem.type) == (404, "about:blank")


def test_another_server_is_not_taken_for_a_gateway(server: ScriptedServer) -> None:
    server.respond(Response(200, {"hello": "world"}), Response(200, "<html>"))

    with FuzeClient(server.url) as fuze:
        with pytest.raises(UnexpectedResponseError, match="is no Order of Fuze's API"):
            fuze.orders.get(ORDER_ID)
        with pytest.raises(UnexpectedResponseError, match="is no event stream"):
            next(iter(fuze.events.stream(ORDER_ID)))


def test_a_gateway_that_does_not_respond_is_an_error_after_the_time_for_retries(
    server: ScriptedServer,
) -> None:
    server.respond(Response(is_broken=True))

    with FuzeClient(server.url, retry_for=0) as fuze, pytest.raises(NoResponseError):
        fuze.orders.get(ORDER_ID)


def test_a_gateway_that_says_to_wait_for_longer_is_not_waited_for(server: ScriptedServer) -> None:
    limited = problem("rate-limit-exceeded", 429)
    limited.headers |= {"Retry-After": "31"}
    server.respond(limited)

    with FuzeClient(server.url, retry_for=30) as fuze, pytest.raises(ProblemError) as caught:
        fuze.orders.get(ORDER_ID)

    assert caught.value.retry_after == 31


def test_a_timeout_of_the_gateway_is_repeated(server: ScriptedServer) -> None:
    late = problem("request-timeout", 408)
    late.headers |= _AT_ONCE
    server.respond(late, Response(200, COMMAND))

    with FuzeClient(server.url) as fuze:
        assert fuze.orders.approve(ORDER_ID).status == "approved"


def test_an_id_is_one_segment_of_the_path(server: ScriptedServer) -> None:
    server.respond(problem("order-not-found", 404))

    with FuzeClient(f"{server.url}/fuze/") as fuze, pytest.raises(ProblemError):
        fuze.orders.get_status("../caller?x=1")

    assert server.requests[0].path == "/fuze/orders/..%2Fcaller%3Fx%3D1/status"


def test_a_proxy_of_the_environment_is_not_used_for_this_machine(
    server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    server.respond(Response(200, list_of_orders()))

    with FuzeClient(server.url, retry_for=0) as fuze:
        assert fuze.orders.get_page().orders == []


def test_connections_that_are_shared_stay_open(server: ScriptedServer) -> None:
    with httpx.Client(trust_env=False) as shared:
        FuzeClient(server.url, http=shared).close()

        assert not shared.is_closed


def test_a_url_without_a_scheme_is_refused_with_an_example() -> None:
    with pytest.raises(ValueError, match=r"'fuze\.example' is not a URL such as https://"):
        FuzeClient("fuze.example")


def test_a_list_reads_page_after_page_with_the_same_filters(server: ScriptedServer) -> None:
    server.respond(
        Response(200, list_of_orders("ada", "bob", cursor="2")),
        Response(200, list_of_orders("eve")),
    )

    with FuzeClient(server.url) as fuze:
        found = [one.customer for one in fuze.orders.list(status=["shipped", "paid"], q=None)]

    assert found == ["ada", "bob", "eve"]
    query = "/orders?status=shipped&status=paid&limit=200"
    assert [one.path for one in server.requests] == [query, f"{query}&cursor=2"]


async def test_a_stream_that_breaks_is_resumed_after_its_last_event(
    server: ScriptedServer,
) -> None:
    broken = _stream("retry: 0\n\n", _message(1), _message(2), "data: {")
    broken.headers["Content-Length"] = "9999"
    server.respond(broken, _stream(": heartbeat\n\n", _message(3)), Response(204))

    async with AsyncFuzeClient(server.url) as fuze:
        found = [one.seq async for one in fuze.events.stream(ORDER_ID)]

    assert found == [1, 2, 3]
    assert [one.headers.get("last-event-id") for one in server.requests] == [None, "2", "3"]


def test_a_stream_with_a_ticket_sends_no_other_credential(server: ScriptedServer) -> None:
    server.respond(_stream(_message(8)), Response(204))

    with FuzeClient(server.url, token="fz_key") as fuze:
        found = [one.seq for one in fuze.events.stream(ORDER_ID, after=7, ticket="t1")]

    assert found == [8]
    assert {one.path for one in server.requests} == {f"/orders/{ORDER_ID}/events/stream?ticket=t1"}
    assert not any("authorization" in one.headers for one in server.requests)
    assert server.requests[0].headers["last-event-id"] == "7"


def test_the_feed_continues_at_the_cursor_of_each_page(server: ScriptedServer) -> None:
    found = event(1) | {"order_id": ORDER_ID}
    server.respond(
        Response(200, {"events": [], "next": "a", "has_more": False}),
        Response(200, {"events": [found], "next": "b", "has_more": False}),
    )

    with FuzeClient(server.url) as fuze:
        page = next(iter(fuze.events.follow()))

    assert page.next == "b"
    assert [one.path for one in server.requests] == [
        "/events?limit=500&wait=30",
        "/events?after=a&limit=500&wait=30",
    ]
