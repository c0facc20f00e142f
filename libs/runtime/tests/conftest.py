import logging
from collections.abc import Iterator

import pytest
import structlog

from fuze_runtime import telemetry
from fuze_runtime.settings import ProcessSettings


@pytest.fixture
def configured_logging() -> Iterator[None]:
    """The logging of a service's process, for the length of a test."""
    root = logging.getLogger()
    before = root.handlers, root.level
    telemetry.configure(ProcessSettings(), "order", environment={})
    yield
    root.handlers, root.level = before
    structlog.reset_defaults()
