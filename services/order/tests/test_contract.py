"""The workflow implements its contract, under the same names."""

import inspect
import re
from pathlib import Path

from temporalio import workflow

import fuze_order
from fuze_contracts import order as contract
from fuze_order.workflows import OrderWorkflow


def test_the_contract_is_implemented() -> None:
    assert not inspect.isabstract(OrderWorkflow)


def test_the_workflow_and_its_contract_use_the_same_names() -> None:
    promised = workflow._Definition.must_from_class(contract.OrderWorkflow)
    kept = workflow._Definition.must_from_class(OrderWorkflow)

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
