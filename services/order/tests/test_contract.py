"""The workflow implements its contract, under the same names."""

import inspect

from temporalio import workflow

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
