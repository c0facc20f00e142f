"""A link goes wrong in the way that it is told to, and heals."""

import asyncio
import socket

import pytest
from street import FOR_EVER, MUCH, Street, is_refused, is_reset, never, reads_no_more, until


async def test_a_cut_resets_both_ends_of_what_is_connected(street: Street) -> None:
    client, server = await street.both()

    street.link.cut()

    assert await is_reset(client)
    assert await is_reset(server)
    assert street.link.resets == 1


async def test_while_it_is_cut_who_connects_is_reset_and_then_no_more(street: Street) -> None:
    street.link.cut()
    await is_refused(street)
    assert street.link.resets == 1

    street.link.heal()

    await street.both()


async def test_a_cut_reaches_who_has_no_server_yet(
    street: Street, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asyncio.get_running_loop(), "create_connection", never)
    client = await street.connect()
    await until(lambda: street.link.connections == 1)

    street.link.cut()

    assert await is_reset(client)
    await until(lambda: street.link.connections == 0)


async def test_what_is_swallowed_never_arrives_and_its_stream_ends_with_it(
    street: Street,
) -> None:
    client, server = await street.both()
    street.link.swallow()
    await client.say(b"lost")
    await server.say(b"lost too")
    await until(lambda: street.last()._broken)

    street.link.heal()

    assert await is_reset(client)
    assert await is_reset(server)
    assert (street.link.passed, street.link.resets) == (len(b"hello"), 1)


@pytest.mark.parametrize("settled", [False, True])
async def test_a_connection_on_which_nothing_was_said_outlives_it(
    street: Street, *, settled: bool
) -> None:
    client, server = await street.both()
    street.link.swallow()
    newcomer = await street.connect()
    await until(lambda: street.link.connections == 2)
    await until(lambda: not settled or all(one._task.done() for one in street.link._connections))

    street.link.heal()

    await server.say(b"still here")
    assert await client.hear(10) == b"still here"
    await newcomer.say(b"me too")
    assert await (await street.accept()).hear(6) == b"me too"


async def test_while_it_swallows_a_new_connection_never_reaches_the_server(
    street: Street,
) -> None:
    street.link.swallow()
    client = await street.connect()
    await client.say(b"lost")
    await until(lambda: street.link.connections == 1 and street.last()._broken)

    street.link.heal()

    assert await is_reset(client)
    with pytest.raises(BlockingIOError):
        street.server.accept()


@pytest.mark.parametrize("rudely", [False, True])
async def test_the_server_does_not_learn_of_a_client_that_left_unseen(
    street: Street, *, rudely: bool
) -> None:
    client, server = await street.both()
    street.link.swallow()
    if rudely:
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    client.socket.close()
    await until(lambda: street.last()._broken)
    with pytest.raises(BlockingIOError):
        server.socket.recv(1)

    street.link.heal()

    assert await is_reset(server)


async def test_a_full_connection_is_emptied_into_nothing(street: Street) -> None:
    client, server = await street.both()
    speaking = asyncio.create_task(server.say(MUCH))
    await until(lambda: reads_no_more(street.last(), "_server"))

    street.link.swallow()

    await speaking
    street.link.cut()
    with pytest.raises(ConnectionResetError):
        await client.hear(len(MUCH))


async def test_every_byte_of_a_slow_link_is_late_and_in_order(street: Street) -> None:
    client, server = await street.both()
    loop = asyncio.get_running_loop()
    street.link.slow(0.2)

    began = loop.time()
    await client.say(b"one, ")
    assert await server.hear_some() == b"one, "
    await client.say(b"two")
    client.end()
    assert await server.hear(100) == b"two"

    assert loop.time() - began >= 0.4


async def test_what_is_late_when_the_link_heals_comes_before_what_is_said_then(
    street: Street,
) -> None:
    client, server = await street.both()
    street.link.slow(FOR_EVER)
    await client.say(b"one, ")
    await until(lambda: bool(street.last()._client._held))
    street.link.slow(FOR_EVER / 2)
    await client.say(b"two, ")
    await until(lambda: street.last()._client._held_bytes == 10)
    street.link.heal()
    await client.say(b"three")

    assert await server.hear(15) == b"one, two, three"


async def test_what_is_late_when_the_link_begins_to_swallow_is_lost(street: Street) -> None:
    client, server = await street.both()
    street.link.slow(FOR_EVER)
    await client.say(b"late")
    await until(lambda: bool(street.last()._client._held))

    street.link.swallow()
    street.link.slow(0)

    assert await is_reset(server)
    assert await is_reset(client)


async def test_a_request_is_heard_whose_reply_is_lost(street: Street) -> None:
    client, server = await street.both()
    street.link.reset_after_reply()

    await client.say(b"charge it")
    assert await server.hear(9) == b"charge it"
    await server.say(b"charged")

    assert await is_reset(client)
    assert await is_reset(server)
    assert (street.link.passed, street.link.resets) == (len(b"hellocharge it"), 1)
    street.link.heal()
    await street.both()
