"""Signs of life of an activity."""

import asyncio
from dataclasses import replace
from datetime import timedelta

from temporalio.testing import ActivityEnvironment

from fuze_runtime.heartbeats import heartbeats


def environment(timeout: timedelta | None) -> tuple[ActivityEnvironment, asyncio.Queue[object]]:
    beats: asyncio.Queue[object] = asyncio.Queue()
    of_it = ActivityEnvironment()
    of_it.info = replace(of_it.info, heartbeat_timeout=timeout)
    of_it.on_heartbeat = lambda *_: beats.put_nowait(None)
    return of_it, beats


async def test_an_activity_beats_for_as_long_as_it_works() -> None:
    of_it, beats = environment(timedelta(seconds=0.03))

    async def work() -> None:
        async with heartbeats():
            for _ in range(3):
                await beats.get()

    await of_it.run(work)

    assert beats.empty()


async def test_where_nobody_waits_for_them_there_are_none() -> None:
    of_it, beats = environment(None)

    async def work() -> None:
        async with heartbeats():
            await asyncio.sleep(0)

    await of_it.run(work)

    assert beats.empty()


async def test_outside_of_an_activity_there_are_none() -> None:
    async with heartbeats():
        await asyncio.sleep(0)
