"""The workflows implement their contracts, under the same names."""

import inspect

import pytest
from temporalio import workflow

from fuze_contracts import shipping as contract
from fuze_shipping.workflows import CarrierWebhookWorkflow, ShippingWorkflow

_WORKFLOWS = [
    (contract.ShippingWorkflow, ShippingWorkflow),
    (contract.CarrierWebhookWorkflow, CarrierWebhookWorkflow),
]


@pytest.mark.parametrize(("promised", "implemented"), _WORKFLOWS)
def test_a_workflow_implements_everything_in_its_contract(
    promised: type, implemented: type
) -> None:
    assert inspect.isabstract(promised)
    assert not inspect.isabstract(implemented)


@pytest.mark.parametrize(("promised", "implemented"), _WORKFLOWS)
def test_callers_and_worker_use_the_same_names(promised: type, implemented: type) -> None:
    expected = workflow._Definition.must_from_class(promised)
    actual = workflow._Definition.must_from_class(implemented)

    assert actual.name == expected.name
    assert actual.signals.keys() == expected.signals.keys()
    assert actual.queries.keys() == expected.queries.keys()
    assert actual.updates.keys() == expected.updates.keys()
