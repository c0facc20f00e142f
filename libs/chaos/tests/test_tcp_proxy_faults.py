"""The faults of the TCP proxy, and how it heals."""

import asyncio
import socket

import pytest
from proxy_harness import (
    LARGE_PAYLOAD,
    ONE_HOUR,
    ProxyHarness,
    assert_refused,
    is_reading_paused,
    is_reset,
    never_connect,
    wait_until,
)


async def test_reset_resets_both_ends_of_an_open_connection(harness: ProxyHarness) -> None:
    client, server = await harness.connect_both()

    harness.proxy.reset()

    assert await is_reset(client)
    assert await is_reset(server)
    assert harness.proxy.resets == 1


async def test_new_connections_are_reset_until_the_proxy_is_healed(harness: ProxyHarness) -> None:
    harness.proxy.reset()
    await assert_refused(harness)
    assert harness.proxy.resets == 1

    harness.proxy.heal()

    await harness.connect_both()


async def test_reset_closes_a_connection_that_has_no_server_yet(
    harness: ProxyHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asyncio.get_running_loop(), "create_connection", never_connect)
    client = await harness.connect()
    await wait_until(lambda: harness.proxy.connection_count == 1)

    harness.proxy.reset()

    assert await is_reset(client)
    await wait_until(lambda: harness.proxy.connection_count == 0)


async def test_blackholed_bytes_are_lost_and_their_connection_is_reset_on_heal(
    harness: ProxyHarness,
) -> None:
    client, server = await harness.connect_both()
    harness.proxy.blackhole()
    await client.send(b"lost")
    await server.send(b"lost too")
    await wait_until(lambda: harness.last_connection()._lost_bytes)

    harness.proxy.heal()

    assert await is_reset(client)
    assert await is_reset(server)
    assert (harness.proxy.bytes_passed, harness.proxy.resets) == (len(b"hello"), 1)


@pytest.mark.parametrize("settled", [False, True])
async def test_an_idle_connection_survives_a_blackhole(
    harness: ProxyHarness, *, settled: bool
) -> None:
    client, server = await harness.connect_both()
    harness.proxy.blackhole()
    newcomer = await harness.connect()
    await wait_until(lambda: harness.proxy.connection_count == 2)
    await wait_until(
        lambda: not settled or all(one._task.done() for one in harness.proxy._connections)
    )

    harness.proxy.heal()

    await server.send(b"still here")
    assert await client.receive(10) == b"still here"
    await newcomer.send(b"me too")
    assert await (await harness.accept()).receive(6) == b"me too"


async def test_a_blackhole_accepts_clients_but_does_not_connect_to_the_server(
    harness: ProxyHarness,
) -> None:
    harness.proxy.blackhole()
    client = await harness.connect()
    await client.send(b"lost")
    await wait_until(
        lambda: harness.proxy.connection_count == 1 and harness.last_connection()._lost_bytes
    )

    harness.proxy.heal()

    assert await is_reset(client)
    with pytest.raises(BlockingIOError):
        harness.server.accept()


@pytest.mark.parametrize("with_reset", [False, True])
async def test_a_blackhole_hides_a_client_disconnect_from_the_server(
    harness: ProxyHarness, *, with_reset: bool
) -> None:
    client, server = await harness.connect_both()
    harness.proxy.blackhole()
    if with_reset:
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    client.socket.close()
    await wait_until(lambda: harness.last_connection()._lost_bytes)
    with pytest.raises(BlockingIOError):
        server.socket.recv(1)

    harness.proxy.heal()

    assert await is_reset(server)


async def test_a_blackhole_drains_a_connection_under_backpressure(harness: ProxyHarness) -> None:
    client, server = await harness.connect_both()
    sending = asyncio.create_task(server.send(LARGE_PAYLOAD))
    await wait_until(lambda: is_reading_paused(harness.last_connection(), "_server"))

    harness.proxy.blackhole()

    await sending
    harness.proxy.reset()
    with pytest.raises(ConnectionResetError):
        await client.receive(len(LARGE_PAYLOAD))


async def test_latency_delays_every_byte_and_keeps_the_order(harness: ProxyHarness) -> None:
    client, server = await harness.connect_both()
    loop = asyncio.get_running_loop()
    harness.proxy.add_latency(0.2)

    began = loop.time()
    await client.send(b"one, ")
    assert await server.receive_some() == b"one, "
    await client.send(b"two")
    client.send_eof()
    assert await server.receive(100) == b"two"

    assert loop.time() - began >= 0.4


async def test_delayed_bytes_are_delivered_before_later_ones_on_heal(
    harness: ProxyHarness,
) -> None:
    client, server = await harness.connect_both()
    harness.proxy.add_latency(ONE_HOUR)
    await client.send(b"one, ")
    await wait_until(lambda: bool(harness.last_connection()._client._buffered))
    harness.proxy.add_latency(ONE_HOUR / 2)
    await client.send(b"two, ")
    await wait_until(lambda: harness.last_connection()._client._buffered_bytes == 10)
    harness.proxy.heal()
    await client.send(b"three")

    assert await server.receive(15) == b"one, two, three"


async def test_a_blackhole_drops_delayed_bytes(harness: ProxyHarness) -> None:
    client, server = await harness.connect_both()
    harness.proxy.add_latency(ONE_HOUR)
    await client.send(b"delayed")
    await wait_until(lambda: bool(harness.last_connection()._client._buffered))

    harness.proxy.blackhole()
    harness.proxy.add_latency(0)

    assert await is_reset(server)
    assert await is_reset(client)


async def test_drop_responses_delivers_the_request_and_resets_before_the_response(
    harness: ProxyHarness,
) -> None:
    client, server = await harness.connect_both()
    harness.proxy.drop_responses()

    await client.send(b"charge it")
    assert await server.receive(9) == b"charge it"
    await server.send(b"charged")

    assert await is_reset(client)
    assert await is_reset(server)
    assert (harness.proxy.bytes_passed, harness.proxy.resets) == (len(b"hellocharge it"), 1)
    harness.proxy.heal()
    await harness.connect_both()
