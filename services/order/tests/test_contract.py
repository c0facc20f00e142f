"""The workflow implements its contract, under the same names."""

import inspect
import re
from pathlib import Path

import pytest
from temporalio import workflow

import fuze_order
from fuze_contracts import order as contract
from fuze_contracts import returns
from fuze_order.return_workflow import ReturnWorkflow
from fuze_order.workflows import OrderWorkflow

_IMPLEMENTED = [(contract.OrderWorkflow, OrderWorkflow), (returns.ReturnWorkflow, ReturnWorkflow)]


@pytest.mark.parametrize(("promise", "implementation"), _IMPLEMENTED)
def test_the_contract_is_implemented_under_the_same_names(
    promise: type, implementation: type
) -> None:
    promised = workflow._Definition.must_from_class(promise)
    kept = workflow._Definition.must_from_class(implementation)

    assert not inspect.isabstract(implementation)

    assert kept.name == promised.name
    assert kept.signals.keys() == promised.signals.keys()
    assert kept.queries.keys() == promised.queries.keys()
    assert kept.updates.keys() == promised.updates.keys()


def test_every_actor_of_the_service_itself_is_reserved() -> None:
    sources = [path.read_text() for path in Path(fuze_order.__path__[0]).glob("*.py")]
    named = re.compile(r'(?:actor=|ACTOR = |request_system_cancellation\(\s*)"([^"]+)"')
    actors = {actor for source in sources for actor in named.findall(source)}

    assert actors
    assert actors <= contract.SYSTEM_ACTORS
