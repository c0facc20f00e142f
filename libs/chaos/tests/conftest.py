"""Fixtures of the chaos tests."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
from proxy_harness import ProxyHarness


@pytest.fixture
async def harness() -> AsyncIterator[ProxyHarness]:
    async with AsyncExitStack() as stack:
        harness = ProxyHarness(stack)
        await harness.proxy.open()
        stack.push_async_callback(harness.proxy.close)
        yield harness
