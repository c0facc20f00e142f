"""A link hands on what it is given, and leaves nothing behind."""

import asyncio
import gc
import socket
from contextlib import AsyncExitStack

import psutil
import pytest
from street import FOR_EVER, MUCH, Street, is_refused, is_reset, never, reads_no_more, until

from fuze_chaos.links import Link
from fuze_devstack.errors import StackError


async def test_bytes_go_both_ways_at_once_unchanged_and_are_counted(street: Street) -> None:
    client, server = await street.both()

    there, back, *_ = await asyncio.gather(
        server.hear(len(MUCH)), client.hear(len(MUCH)), client.say(MUCH), server.say(MUCH)
    )

    assert there == back == MUCH
    assert street.link.passed == 2 * len(MUCH) + len(b"hello")
    assert street.link.resets == 0


@pytest.mark.parametrize("delay", [0.0, FOR_EVER])
@pytest.mark.parametrize("reader", ["client", "server"])
async def test_who_does_not_read_stops_the_link_from_reading_the_other_side(
    street: Street, reader: str, delay: float
) -> None:
    client, server = await street.both()
    listens, speaks, side = (
        (client, server, "_server") if reader == "client" else (server, client, "_client")
    )
    street.link.slow(delay)
    speaking = asyncio.create_task(speaks.say(MUCH))
    leg = getattr(street.last(), side)

    await until(lambda: reads_no_more(street.last(), side))

    assert not speaking.done()
    assert street.link.passed < len(MUCH) / 2
    assert leg._held_bytes + leg.other.transport.get_write_buffer_size() < 2 * 1024 * 1024
    street.link.heal()
    assert await listens.hear(len(MUCH)) == MUCH
    await speaking


async def test_a_client_that_has_said_everything_still_gets_its_answer(street: Street) -> None:
    client, server = await street.both()
    await client.say(b"request")
    client.end()

    assert await server.hear(100) == b"request"
    await server.say(b"answer")
    server.end()

    assert await client.hear(100) == b"answer"
    await until(lambda: street.link.connections == 0)
    assert street.link.resets == 0


async def test_a_server_that_has_said_everything_still_hears(street: Street) -> None:
    client, server = await street.both()
    server.end()

    assert await client.hear(1) == b""
    await client.say(b"and another thing")
    client.end()

    assert await server.hear(100) == b"and another thing"
    await until(lambda: street.link.connections == 0)


async def test_the_end_comes_after_all_that_was_said_before_it(street: Street) -> None:
    client, server = await street.both()
    speaking = asyncio.create_task(server.say(MUCH))
    await until(lambda: reads_no_more(street.last(), "_server"))
    client.end()
    hearing = asyncio.create_task(client.hear(len(MUCH) + 1))
    await speaking
    server.end()

    assert await hearing == MUCH


async def test_what_a_client_has_yet_to_read_outlives_the_server(street: Street) -> None:
    client, server = await street.both()
    legs = street.last()
    # Hardly anything is with the kernel, so that the link has the rest.
    client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    own = legs._client.transport.get_extra_info("socket")
    own.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
    street.link.slow(FOR_EVER)
    client.end()
    await server.say(MUCH[:1_000_000])
    server.end()
    await until(lambda: legs._server._ended and legs._client._ended)

    street.link.heal()
    await until(lambda: legs._server.transport is None)

    assert legs._client.transport.get_write_buffer_size() > 0
    assert await client.hear(1_000_001) == MUCH[:1_000_000]
    await until(lambda: street.link.connections == 0)


async def test_a_reset_by_the_server_is_one_for_the_client(street: Street) -> None:
    client, server = await street.both()
    server.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    server.socket.close()

    assert await is_reset(client)
    assert street.link.resets == 0


async def test_without_a_server_the_client_is_reset_and_the_next_one_is_not(
    street: Street,
) -> None:
    address = street.server.getsockname()
    street.server.close()
    await is_refused(street)
    assert street.link.resets == 0

    with socket.create_server(address) as street.server:
        street.server.setblocking(False)
        await street.both()


async def test_what_a_client_says_before_the_server_is_reached_waits(
    street: Street, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = asyncio.get_running_loop()
    connect, may = loop.create_connection, asyncio.Event()

    async def later(*arguments: object) -> object:
        await may.wait()
        return await connect(*arguments)  # type: ignore[call-overload]

    monkeypatch.setattr(loop, "create_connection", later)
    client = await street.connect()
    speaking = asyncio.create_task(client.say(MUCH))
    await until(lambda: street.link.connections == 1)
    await until(lambda: reads_no_more(street.last(), "_client"))
    may.set()

    assert await (await street.accept()).hear(len(MUCH)) == MUCH
    await speaking


async def test_nothing_is_left_of_a_closed_link(monkeypatch: pytest.MonkeyPatch) -> None:
    tasks, before = asyncio.all_tasks(), psutil.Process().num_fds()
    async with AsyncExitStack() as stack:
        street = Street(stack)
        await street.link.open()
        clients = [(await street.both())[0] for _ in range(3)]
        street.link.slow(FOR_EVER)
        await clients[0].say(b"late")
        clients[1].end()
        connections = set(street.link._connections)
        await until(lambda: sum(bool(one._client._held) for one in connections) == 2)
        monkeypatch.setattr(asyncio.get_running_loop(), "create_connection", never)
        clients.append(await street.connect())
        await until(lambda: street.link.connections == 4)
        # This one is still with the kernel, or as good as.
        clients.append(await street.connect())

        await street.link.close()

        assert street.link.connections == 0
        assert [await is_reset(client) for client in clients] == [True] * 5
        assert all(one._client._timer is None for one in connections)
    gc.collect()
    assert asyncio.all_tasks() == tasks
    assert psutil.Process().num_fds() == before


async def test_who_came_at_the_very_moment_of_the_close_is_reset(street: Street) -> None:
    asyncio.get_running_loop().remove_reader(street.link._listener)
    client = await street.connect()
    # Accepted, and closed before anything of it could run.
    street.link._accept(street.link._listener)

    await street.link.close()

    assert await is_reset(client)
    gc.collect()


async def test_a_link_whose_port_is_taken_says_so(street: Street) -> None:
    second = Link("order->postgres", street.link.port, 1)

    with pytest.raises(StackError, match="order->postgres cannot listen on port"):
        await second.open()
