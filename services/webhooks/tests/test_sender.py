"""One attempt over HTTP: what is sent, what counts as accepted, and what bounds it."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta

import pytest
import trustme
from standardwebhooks.webhooks import WebhookVerificationError
from webhooks_harness import OTHER_SECRET, SECRET, build_delivery, build_endpoint

from fuze_testing.webhook_receiver import (
    ReceivedWebhook,
    WebhookReceiver,
    build_response,
    serve_webhook_receiver,
)
from fuze_webhooks.address_guard import Resolver
from fuze_webhooks.messages import Attempt, Delivery
from fuze_webhooks.sender import WebhookSender


@pytest.fixture
async def sender() -> AsyncIterator[WebhookSender]:
    resolver = Resolver()
    sender = WebhookSender(resolver, timedelta(seconds=5), allow_insecure=True)
    yield sender
    await sender.aclose()


@pytest.fixture
async def receiver() -> AsyncIterator[WebhookReceiver]:
    async with serve_webhook_receiver() as receiver:
        yield receiver


async def send(
    sender: WebhookSender,
    url: str,
    *secrets: str,
    delivery: Delivery | None = None,
    seconds: float = 5,
) -> Attempt:
    deadline = asyncio.get_running_loop().time() + seconds
    return await sender.send(build_endpoint(url, *secrets), delivery or build_delivery(), deadline)


def respond(receiver: WebhookReceiver, response: bytes) -> None:
    async def responds(_: ReceivedWebhook) -> bytes:
        return response

    receiver.respond = responds


async def test_a_message_is_signed_as_the_library_of_standard_webhooks_verifies(
    sender: WebhookSender, receiver: WebhookReceiver
) -> None:
    delivery = build_delivery()

    attempt = await send(sender, receiver.get_url(), delivery=delivery)

    [request] = receiver.requests
    request.verify(SECRET)
    with pytest.raises(WebhookVerificationError):
        request.verify(OTHER_SECRET)
    assert attempt == Attempt(response_status=204, response_body="")
    assert request.message_id == delivery.message_id
    assert request.path == "/webhooks"
    assert request.content["type"] == "order_received"
    assert request.content["timestamp"] == "2026-01-05T10:00:00Z"


async def test_a_body_that_was_changed_on_the_way_does_not_verify(
    sender: WebhookSender, receiver: WebhookReceiver
) -> None:
    await send(sender, receiver.get_url())
    [request] = receiver.requests

    changed = ReceivedWebhook(request.path, request.headers, request.body + b" ")

    with pytest.raises(WebhookVerificationError):
        changed.verify(SECRET)


async def test_during_a_rotation_both_secrets_verify(
    sender: WebhookSender, receiver: WebhookReceiver
) -> None:
    await send(sender, receiver.get_url(), SECRET, OTHER_SECRET)

    [request] = receiver.requests
    request.verify(SECRET)
    request.verify(OTHER_SECRET)


async def test_a_further_attempt_has_the_same_id_and_body(
    sender: WebhookSender, receiver: WebhookReceiver
) -> None:
    delivery = build_delivery()
    for _ in range(2):
        await send(sender, receiver.get_url(), delivery=delivery)

    first, second = receiver.requests
    assert (first.message_id, first.body) == (second.message_id, second.body)


async def test_a_test_message_has_no_order(
    sender: WebhookSender, receiver: WebhookReceiver
) -> None:
    await send(sender, receiver.get_url(), delivery=build_delivery(is_test=True, event=None))

    [request] = receiver.requests
    request.verify(SECRET)
    assert (request.content["type"], request.content["data"]) == ("webhook.test", {})


async def test_an_event_that_exists_no_longer_is_not_sent(
    sender: WebhookSender, receiver: WebhookReceiver
) -> None:
    attempt = await send(sender, receiver.get_url(), delivery=build_delivery(event=None))

    assert attempt.is_final
    assert receiver.requests == []


@pytest.mark.parametrize("status", [400, 404, 500, 503])
async def test_another_status_than_success_is_an_error(
    sender: WebhookSender, receiver: WebhookReceiver, status: int
) -> None:
    respond(receiver, build_response(status, "no"))

    attempt = await send(sender, receiver.get_url())

    assert attempt == Attempt(
        response_status=status, response_body="no", error=f"the endpoint responded {status}"
    )


async def test_an_endpoint_that_responds_410_is_gone(
    sender: WebhookSender, receiver: WebhookReceiver
) -> None:
    respond(receiver, build_response(410))

    assert (await send(sender, receiver.get_url())).is_gone


async def test_a_redirect_is_an_error_and_is_not_followed(
    sender: WebhookSender, receiver: WebhookReceiver
) -> None:
    respond(receiver, build_response(307, location=receiver.get_url()))

    attempt = await send(sender, receiver.get_url())

    assert attempt.error == "the endpoint responded 307"
    assert len(receiver.requests) == 1


@pytest.mark.parametrize(("header", "seconds"), [("7", 7), ("soon", 0), ("9999999", 86400)])
async def test_retry_after_is_read_in_seconds_up_to_a_day(
    sender: WebhookSender, receiver: WebhookReceiver, header: str, seconds: int
) -> None:
    respond(receiver, build_response(429, retry_after=header))

    assert (await send(sender, receiver.get_url())).retry_after == timedelta(seconds=seconds)


async def test_a_message_is_dated_by_the_clock_of_postgresql(
    sender: WebhookSender, receiver: WebhookReceiver
) -> None:
    at = datetime(2026, 1, 5, 10, tzinfo=UTC)

    await send(sender, receiver.get_url(), delivery=build_delivery(attempted_at=at))

    assert receiver.requests[0].headers["webhook-timestamp"] == str(int(at.timestamp()))


async def test_a_success_counts_however_long_its_retry_after_is(
    sender: WebhookSender, receiver: WebhookReceiver
) -> None:
    respond(receiver, build_response(204, retry_after="9" * 5000))

    assert (await send(sender, receiver.get_url())).error is None


async def test_an_endpoint_that_never_responds_is_given_up_at_the_deadline(
    sender: WebhookSender, receiver: WebhookReceiver
) -> None:
    async def never(_: ReceivedWebhook) -> bytes:
        await asyncio.sleep(60)
        return b""

    receiver.respond = never

    attempt = await send(sender, receiver.get_url(), seconds=0.2)

    assert attempt.error == "no response within 5 s"


async def test_a_response_without_end_is_cut_off_and_accepted(sender: WebhookSender) -> None:
    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 999999999\r\n\r\n")
        try:
            while True:
                writer.write(b"\x00x" * 500)
                await writer.drain()
        except ConnectionError:
            writer.close()

    server = await asyncio.start_server(endless, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]

        attempt = await send(sender, f"http://127.0.0.1:{port}/")

    assert attempt.error is None
    assert attempt.response_body is not None
    assert len(attempt.response_body) <= 512
    assert attempt.response_body.isprintable()


async def test_a_response_that_trickles_is_given_up_at_the_deadline(sender: WebhookSender) -> None:
    async def trickle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        try:
            while True:
                writer.write(b"H")
                await writer.drain()
                await asyncio.sleep(0.05)
        except ConnectionError:
            writer.close()

    server = await asyncio.start_server(trickle, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]

        attempt = await send(sender, f"http://127.0.0.1:{port}/", seconds=0.3)

    assert attempt.error is not None


async def test_a_refused_connection_is_an_error(sender: WebhookSender) -> None:
    attempt = await send(sender, "http://127.0.0.1:1/")

    assert attempt.error is not None
    assert attempt.error.startswith("ConnectError")


async def test_an_endpoint_without_a_secret_gets_nothing(
    sender: WebhookSender, receiver: WebhookReceiver
) -> None:
    deadline = asyncio.get_running_loop().time() + 5
    endpoint = build_endpoint(receiver.get_url())
    unsigned = type(endpoint)(id=endpoint.id, url=endpoint.url, secrets=(), has_more=False)

    attempt = await sender.send(unsigned, build_delivery(), deadline)

    assert attempt.error == "the endpoint has no signing secret"
    assert receiver.requests == []


async def test_a_name_that_resolves_to_a_private_address_gets_nothing_outside_local(
    receiver: WebhookReceiver,
) -> None:
    answers = [["8.8.8.8"], ["127.0.0.1"]]

    async def resolve(_host: str, _port: int) -> Sequence[str]:
        return answers[-1]

    sender = WebhookSender(resolve, timedelta(seconds=5), allow_insecure=False)

    attempt = await send(sender, receiver.get_url("rebind.example", "https"))
    plain = await send(sender, receiver.get_url("shop.example"))

    assert attempt.error == "rebind.example has the address 127.0.0.1, which is not public"
    assert plain.error is not None
    assert plain.error.startswith("must begin with https://")
    assert receiver.requests == []
    await sender.aclose()


async def test_the_certificate_must_be_of_the_name_and_not_of_the_address() -> None:
    authority = trustme.CA()
    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("shop.example").configure_cert(server_context)
    client_context = ssl.create_default_context()
    authority.configure_trust(client_context)

    async def resolve(_host: str, _port: int) -> Sequence[str]:
        return ["127.0.0.1"]

    sender = WebhookSender(
        resolve, timedelta(seconds=5), allow_insecure=True, ssl_context=client_context
    )
    async with serve_webhook_receiver(ssl_context=server_context) as receiver:
        good = await send(sender, receiver.get_url("shop.example", "https"))
        wrong = await send(sender, receiver.get_url("other.example", "https"))
        await sender.aclose()

    assert good.error is None
    assert wrong.error is not None
    assert "certificate" in wrong.error.lower()
    assert len(receiver.requests) == 1
