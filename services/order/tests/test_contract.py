"""The workflow is all that its contract says, under the same names."""

import inspect

from temporalio import workflow

from fuze_contracts import order as contract
from fuze_order.workflows import OrderWorkflow


def test_nothing_of_the_contract_is_left_abstract() -> None:
    assert not inspect.isabstract(OrderWorkflow)


def test_callers_and_worker_say_the_same_names() -> None:
    promised = workflow._Definition.must_from_class(contract.OrderWorkflow)
    kept = workflow._Definition.must_from_class(OrderWorkflow)

    assert kept.name == promised.name
    assert kept.signals.keys() == promised.signals.keys()
    assert kept.queries.keys() == promised.queries.keys()
    assert kept.updates.keys() == promised.updates.keys()
