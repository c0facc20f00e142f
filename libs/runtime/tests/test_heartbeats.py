"""Heartbeats of an activity."""

import asyncio
from dataclasses import replace
from datetime import timedelta

from temporalio.testing import ActivityEnvironment

from fuze_runtime.heartbeats import heartbeats


def create_environment(
    timeout: timedelta | None,
) -> tuple[ActivityEnvironment, asyncio.Queue[object]]:
    beats: asyncio.Queue[object] = asyncio.Queue()
    environment = ActivityEnvironment()
    environment.info = replace(environment.info, heartbeat_timeout=timeout)
    environment.on_heartbeat = lambda *_: beats.put_nowait(None)
    return environment, beats


async def test_an_activity_sends_heartbeats_while_it_runs() -> None:
    environment, beats = create_environment(timedelta(seconds=0.03))

    async def work() -> None:
        async with heartbeats():
            for _ in range(3):
                await beats.get()

    await environment.run(work)

    assert beats.empty()


async def test_without_a_heartbeat_timeout_none_is_sent() -> None:
    environment, beats = create_environment(None)

    async def work() -> None:
        async with heartbeats():
            await asyncio.sleep(0)

    await environment.run(work)

    assert beats.empty()


async def test_outside_an_activity_none_is_sent() -> None:
    async with heartbeats():
        await asyncio.sleep(0)
