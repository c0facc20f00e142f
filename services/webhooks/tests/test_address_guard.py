"""No connection is made to an address that is not public, whatever a name resolves to."""

import asyncio
import contextlib
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Sequence

import httpcore
import pytest

from fuze_testing.webhook_receiver import WebhookReceiver, serve_webhook_receiver
from fuze_webhooks.address_guard import GuardedBackend, RefusedAddressError, Resolver


class Names:
    """A name server that answers differently each time; the last answer stays."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = list(answers)
        self.lookups = 0

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        del host, port
        self.lookups += 1
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@pytest.fixture
async def receiver() -> AsyncIterator[WebhookReceiver]:
    async with serve_webhook_receiver() as receiver:
        yield receiver


class Dialled(httpcore.AnyIOBackend):
    """Records the addresses that are connected to, and connects to none."""

    def __init__(self) -> None:
        self.addresses: list[str] = []

    async def connect_tcp(self, host: str, *_: object, **__: object) -> httpcore.AsyncNetworkStream:
        self.addresses.append(host)
        raise httpcore.ConnectError("refused")


def build_guard(names: Names) -> tuple[GuardedBackend, Dialled]:
    guard = GuardedBackend(names, allow_private=False)
    guard._backend = dialled = Dialled()
    return guard, dialled


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "::ffff:127.0.0.1"]
)
async def test_a_name_with_a_private_address_is_refused_without_a_connection(address: str) -> None:
    guard, dialled = build_guard(Names([address]))

    with pytest.raises(RefusedAddressError, match="not public"):
        await guard.connect_tcp("rebind.example", 443)

    assert dialled.addresses == []


async def test_one_private_address_among_public_ones_refuses_the_name() -> None:
    guard, dialled = build_guard(Names(["8.8.8.8", "10.0.0.1"]))

    with pytest.raises(RefusedAddressError, match=r"10\.0\.0\.1"):
        await guard.connect_tcp("rebind.example", 443)

    assert dialled.addresses == []


async def test_the_address_that_was_checked_is_the_one_that_is_connected_to() -> None:
    names = Names(["8.8.8.8"], ["127.0.0.1"])  # public when it is checked, private afterwards
    guard, dialled = build_guard(names)

    with pytest.raises(httpcore.ConnectError):
        await guard.connect_tcp("rebind.example", 443)

    assert (names.lookups, dialled.addresses) == (1, ["8.8.8.8"])


async def test_a_name_that_changes_its_answer_is_checked_at_each_connection() -> None:
    guard, dialled = build_guard(Names(["8.8.8.8"], ["127.0.0.1"]))
    with pytest.raises(httpcore.ConnectError):
        await guard.connect_tcp("rebind.example", 443)

    with pytest.raises(RefusedAddressError):
        await guard.connect_tcp("rebind.example", 443)

    assert dialled.addresses == ["8.8.8.8"]


async def test_the_next_address_is_tried_when_one_accepts_no_connection(
    receiver: WebhookReceiver,
) -> None:
    guard = GuardedBackend(Names(["127.0.0.9", "127.0.0.1"]), allow_private=True)

    stream = await guard.connect_tcp("shop.example", receiver.port)

    assert stream.get_extra_info("server_addr")[0] == "127.0.0.1"
    await stream.aclose()


async def test_the_next_address_is_tried_when_one_does_not_respond(
    receiver: WebhookReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fuze_webhooks.address_guard._MAX_CONNECT_SECONDS", 0.2)
    guard = GuardedBackend(Names(["127.0.0.9", "127.0.0.1"]), allow_private=True)
    with contextlib.ExitStack() as sockets:
        silent = sockets.enter_context(socket.socket())
        silent.bind(("127.0.0.9", receiver.port))
        silent.listen(0)
        for _ in range(4):  # as many as are accepted without a process: the kernel drops others
            waiting = sockets.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(("127.0.0.9", receiver.port))

        stream = await guard.connect_tcp("shop.example", receiver.port)

    assert stream.get_extra_info("server_addr")[0] == "127.0.0.1"
    await stream.aclose()


@pytest.mark.parametrize("host", ["127.1", "2130706433", "0x7f.1", "localhost"])
async def test_another_spelling_of_a_loopback_address_is_refused(host: str) -> None:
    resolver = Resolver()
    guard = GuardedBackend(resolver, allow_private=False)

    with pytest.raises(RefusedAddressError):
        await guard.connect_tcp(host, 443)


async def test_a_name_without_an_address_is_a_failed_connection() -> None:
    resolver = Resolver()
    guard = GuardedBackend(resolver, allow_private=False)

    with pytest.raises(httpcore.ConnectError, match="cannot be resolved"):
        await guard.connect_tcp("no-such-host.invalid", 443)


async def test_concurrent_lookups_of_one_name_take_one_thread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    release, lookups = threading.Event(), []

    def look_up(host: str, port: int) -> Sequence[str]:
        lookups.append((host, port))
        release.wait(10)
        return ["8.8.8.8"]

    monkeypatch.setattr("fuze_webhooks.address_guard._look_up", look_up)
    resolver = Resolver()
    waiting = [asyncio.create_task(resolver("slow.example", 443)) for _ in range(20)]
    await asyncio.sleep(0)

    release.set()

    assert await asyncio.gather(*waiting) == [["8.8.8.8"]] * 20
    assert lookups == [("slow.example", 443)]


def test_a_lookup_that_takes_long_does_not_delay_the_end_of_the_process() -> None:
    program = """
import asyncio, time
from fuze_webhooks import address_guard

address_guard._look_up = lambda *_: time.sleep(60)
async def main():
    try:
        await asyncio.wait_for(address_guard.Resolver()("slow.example", 443), 0.1)
    except TimeoutError:
        print("not in time")
asyncio.run(main())
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=20
    )

    assert (done.stdout, done.stderr) == ("not in time\n", "")
