"""What several tests of the development stack stand on."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
from street import Street


@pytest.fixture
async def street() -> AsyncIterator[Street]:
    async with AsyncExitStack() as stack:
        street = Street(stack)
        await street.link.open()
        stack.push_async_callback(street.link.close)
        yield street
