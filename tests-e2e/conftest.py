"""One stack for the whole run."""

from collections.abc import Iterator

import pytest
from running_stack import Stack
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory, fuze: list[str]) -> Iterator[Stack]:
    """The stack that most tests share; a test that hurts it mends it."""
    stack = Stack(tmp_path_factory.mktemp("stack"), fuze)
    stack.run("up", "--ports", "auto", "--detach")
    try:
        yield stack
        stack.run("down")
    finally:
        stack.http.close()


@pytest.fixture
async def temporal(stack: Stack) -> Client:
    return await Client.connect(
        stack.facts["temporal"]["address"], data_converter=pydantic_data_converter
    )
