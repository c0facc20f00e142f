"""The TCP proxy without faults: it forwards everything, and leaves nothing behind."""

import asyncio
import gc
import socket
from contextlib import AsyncExitStack
from types import CoroutineType
from typing import Any, cast

import psutil
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

from fuze_chaos.proxy import connection
from fuze_chaos.proxy.tcp_proxy import TcpProxy
from fuze_devstack.errors import StackError


async def test_bytes_are_forwarded_both_ways_concurrently_and_counted(
    harness: ProxyHarness,
) -> None:
    client, server = await harness.connect_both()

    there, back, *_ = await asyncio.gather(
        server.receive(len(LARGE_PAYLOAD)),
        client.receive(len(LARGE_PAYLOAD)),
        client.send(LARGE_PAYLOAD),
        server.send(LARGE_PAYLOAD),
    )

    assert there == back == LARGE_PAYLOAD
    assert harness.proxy.bytes_passed == 2 * len(LARGE_PAYLOAD) + len(b"hello")
    assert harness.proxy.resets == 0


@pytest.mark.parametrize("delay", [0.0, ONE_HOUR])
@pytest.mark.parametrize("reader", ["client", "server"])
async def test_backpressure_of_a_slow_reader_reaches_the_other_side(
    harness: ProxyHarness, reader: str, delay: float
) -> None:
    client, server = await harness.connect_both()
    receiver, sender, side = (
        (client, server, "_server") if reader == "client" else (server, client, "_client")
    )
    harness.proxy.add_latency(delay)
    sending = asyncio.create_task(sender.send(LARGE_PAYLOAD))
    endpoint = getattr(harness.last_connection(), side)

    await wait_until(lambda: is_reading_paused(harness.last_connection(), side))

    assert not sending.done()
    assert harness.proxy.bytes_passed < len(LARGE_PAYLOAD) / 2
    assert (
        endpoint._buffered_bytes + endpoint.peer.transport.get_write_buffer_size() < 2 * 1024 * 1024
    )
    harness.proxy.heal()
    assert await receiver.receive(len(LARGE_PAYLOAD)) == LARGE_PAYLOAD
    await sending


async def test_a_half_closed_client_still_receives_the_response(harness: ProxyHarness) -> None:
    client, server = await harness.connect_both()
    await client.send(b"request")
    client.send_eof()

    assert await server.receive(100) == b"request"
    await server.send(b"response")
    server.send_eof()

    assert await client.receive(100) == b"response"
    await wait_until(lambda: harness.proxy.connection_count == 0)
    assert harness.proxy.resets == 0


async def test_a_half_closed_server_still_receives_data(harness: ProxyHarness) -> None:
    client, server = await harness.connect_both()
    server.send_eof()

    assert await client.receive(1) == b""
    await client.send(b"and another thing")
    client.send_eof()

    assert await server.receive(100) == b"and another thing"
    await wait_until(lambda: harness.proxy.connection_count == 0)


async def test_eof_arrives_after_all_data_sent_before_it(harness: ProxyHarness) -> None:
    client, server = await harness.connect_both()
    sending = asyncio.create_task(server.send(LARGE_PAYLOAD))
    await wait_until(lambda: is_reading_paused(harness.last_connection(), "_server"))
    client.send_eof()
    receiving = asyncio.create_task(client.receive(len(LARGE_PAYLOAD) + 1))
    await sending
    server.send_eof()

    assert await receiving == LARGE_PAYLOAD


async def test_unread_data_is_delivered_after_the_server_has_closed(harness: ProxyHarness) -> None:
    client, server = await harness.connect_both()
    connection = harness.last_connection()
    # Small kernel buffers, so that the proxy has to buffer the rest.
    client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    own = connection._client.transport.get_extra_info("socket")
    own.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
    harness.proxy.add_latency(ONE_HOUR)
    client.send_eof()
    await server.send(LARGE_PAYLOAD[:1_000_000])
    server.send_eof()
    await wait_until(lambda: connection._server._has_eof and connection._client._has_eof)

    harness.proxy.heal()
    await wait_until(lambda: connection._server.transport is None)

    assert connection._client.transport.get_write_buffer_size() > 0
    assert await client.receive(1_000_001) == LARGE_PAYLOAD[:1_000_000]
    await wait_until(lambda: harness.proxy.connection_count == 0)


async def test_a_reset_by_the_server_resets_the_client(harness: ProxyHarness) -> None:
    client, server = await harness.connect_both()
    server.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    server.socket.close()

    assert await is_reset(client)
    assert harness.proxy.resets == 0


async def test_a_client_is_reset_only_while_no_server_listens(
    harness: ProxyHarness,
) -> None:
    address = harness.server.getsockname()
    harness.server.close()
    await assert_refused(harness)
    assert harness.proxy.resets == 0

    with socket.create_server(address) as harness.server:
        harness.server.setblocking(False)
        await harness.connect_both()


async def test_data_sent_before_the_server_is_connected_is_buffered(
    harness: ProxyHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = asyncio.get_running_loop()
    connect, may = loop.create_connection, asyncio.Event()

    async def later(*arguments: object) -> object:
        await may.wait()
        return await connect(*arguments)  # type: ignore[call-overload] # passed through

    monkeypatch.setattr(loop, "create_connection", later)
    client = await harness.connect()
    sending = asyncio.create_task(client.send(LARGE_PAYLOAD))
    await wait_until(lambda: harness.proxy.connection_count == 1)
    await wait_until(lambda: is_reading_paused(harness.last_connection(), "_client"))
    may.set()

    assert await (await harness.accept()).receive(len(LARGE_PAYLOAD)) == LARGE_PAYLOAD
    await sending


async def test_a_closed_proxy_leaves_no_socket_and_no_task(monkeypatch: pytest.MonkeyPatch) -> None:
    async with AsyncExitStack() as stack:
        harness = ProxyHarness(stack)
        await harness.proxy.open()
        ports = {harness.proxy.port, harness.server.getsockname()[1]}
        clients = [(await harness.connect_both())[0] for _ in range(3)]
        harness.proxy.add_latency(ONE_HOUR)
        await clients[0].send(b"delayed")
        clients[1].send_eof()
        connections = set(harness.proxy._connections)
        await wait_until(lambda: sum(bool(one._client._buffered) for one in connections) == 2)
        monkeypatch.setattr(asyncio.get_running_loop(), "create_connection", never_connect)
        clients.append(await harness.connect())
        await wait_until(lambda: harness.proxy.connection_count == 4)
        # This one is still in the backlog, or has just been accepted.
        clients.append(await harness.connect())

        await harness.proxy.close()

        assert harness.proxy.connection_count == 0
        assert [await is_reset(client) for client in clients] == [True] * 5
        assert all(one._client._timer is None for one in connections)
    gc.collect()
    assert [one for one in asyncio.all_tasks() if _is_of_proxy(one)] == []
    # By port: other servers of this process open and close sockets meanwhile.
    assert [
        one
        for one in psutil.Process().net_connections("tcp")
        if ports & {end.port for end in (one.laddr, one.raddr) if end}
    ] == []


def _is_of_proxy(task: asyncio.Task[object]) -> bool:
    coroutine = cast("CoroutineType[Any, Any, Any]", task.get_coro())
    return coroutine.cr_code.co_filename == connection.__file__


async def test_a_client_accepted_during_close_is_reset(harness: ProxyHarness) -> None:
    asyncio.get_running_loop().remove_reader(harness.proxy._listener)
    client = await harness.connect()
    # Accepted, and closed before its task has started.
    harness.proxy._accept(harness.proxy._listener)

    await harness.proxy.close()

    assert await is_reset(client)
    gc.collect()


async def test_a_port_in_use_is_an_error_that_names_the_proxy(harness: ProxyHarness) -> None:
    second = TcpProxy("order->postgres", harness.proxy.port, 1)

    with pytest.raises(StackError, match="order->postgres cannot listen on port"):
        await second.open()
