"""The wire format is a promise between versions that run at the same time.

A file in `golden` is what some released version wrote. It must decode for ever, and what we write
today must hold everything in it. A changed file is a broken promise; a new field is a new file.
"""

import json
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

import pytest
from temporalio.contrib.pydantic import pydantic_data_converter

import fuze_contracts
from fuze_contracts.base import Message
from fuze_testing.releases import describe_owners

_GOLDEN = Path(__file__).parent / "golden"
_MODULES = [
    import_module(f"fuze_contracts.{module.name}")
    for module in iter_modules(fuze_contracts.__path__)
]
_MESSAGES = {
    f"{module.__name__.removeprefix('fuze_contracts.')}.{name}": kind
    for module in _MODULES
    for name, kind in vars(module).items()
    if isinstance(kind, type)
    and issubclass(kind, Message)
    and kind is not Message
    and kind.__module__ == module.__name__
}
_FILES = sorted(_GOLDEN.glob("*.json"))


def _kind(file: Path) -> type[Message]:
    return _MESSAGES[".".join(file.name.split(".")[:2])]


def _keep(now: Any, before: Any) -> Any:  # noqa: ANN401 - any part of a message
    """Return what we write, without the fields that were added since."""
    if isinstance(before, dict) and isinstance(now, dict):
        return {name: _keep(now[name], before[name]) for name in before}
    if isinstance(before, list) and isinstance(now, list) and len(now) == len(before):
        return [_keep(*both) for both in zip(now, before, strict=True)]
    return now


@pytest.mark.parametrize("file", _FILES, ids=lambda file: file.name)
def test_what_a_released_version_wrote_decodes_and_nothing_of_it_is_lost(file: Path) -> None:
    before = json.loads(file.read_bytes())

    message = _kind(file).model_validate(before)
    [payload] = pydantic_data_converter.payload_converter.to_payloads([message])
    now = json.loads(payload.data)

    assert _keep(now, before) == before, (
        f"{describe_owners([file])}. Add fields with a default; remove and rename none: "
        'CONTRIBUTING.md, "Changing a workflow or a message"'
    )


@pytest.mark.parametrize("name", sorted(_MESSAGES))
def test_every_message_has_a_golden_file(name: str) -> None:
    assert [file for file in _FILES if file.name.startswith(f"{name}.")]


@pytest.mark.parametrize("name", sorted(_MESSAGES))
def test_a_message_from_a_newer_version_is_read_without_what_is_unknown(name: str) -> None:
    file = next(file for file in _FILES if file.name.startswith(f"{name}."))
    newer = json.loads(file.read_bytes()) | {"added_next_year": 1}

    assert "added_next_year" not in _MESSAGES[name].model_validate(newer).model_dump()
