"""The workflow is all that its contract says, under the same names."""

import inspect

from temporalio import workflow

from fuze_contracts import shipping as contract
from fuze_shipping.workflows import ShippingWorkflow


def test_nothing_of_the_contract_is_left_abstract() -> None:
    assert not inspect.isabstract(ShippingWorkflow)


def test_callers_and_worker_say_the_same_names() -> None:
    promised = workflow._Definition.must_from_class(contract.ShippingWorkflow)
    kept = workflow._Definition.must_from_class(ShippingWorkflow)

    assert kept.name == promised.name
    assert kept.signals.keys() == promised.signals.keys()
    assert kept.queries.keys() == promised.queries.keys()
    assert kept.updates.keys() == promised.updates.keys()
