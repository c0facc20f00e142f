"""The workflow implements its contract under the same names."""

import inspect

from temporalio import workflow

from fuze_contracts import payment as contract
from fuze_payment.workflows import RefundWorkflow


def test_the_workflow_implements_its_whole_contract() -> None:
    assert not inspect.isabstract(RefundWorkflow)


def test_the_workflow_has_the_names_of_its_contract() -> None:
    promised = workflow._Definition.must_from_class(contract.RefundWorkflow)
    kept = workflow._Definition.must_from_class(RefundWorkflow)

    assert kept.name == promised.name
    assert kept.signals.keys() == promised.signals.keys()
    assert kept.queries.keys() == promised.queries.keys()
    assert kept.updates.keys() == promised.updates.keys()
