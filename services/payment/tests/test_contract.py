"""The workflow is all that its contract says, under the same names."""

import inspect

from temporalio import workflow

from fuze_contracts import payment as contract
from fuze_payment.workflows import RefundWorkflow


def test_nothing_of_the_contract_is_left_abstract() -> None:
    assert not inspect.isabstract(RefundWorkflow)


def test_callers_and_worker_say_the_same_names() -> None:
    promised = workflow._Definition.must_from_class(contract.RefundWorkflow)
    kept = workflow._Definition.must_from_class(RefundWorkflow)

    assert kept.name == promised.name
    assert kept.signals.keys() == promised.signals.keys()
    assert kept.queries.keys() == promised.queries.keys()
    assert kept.updates.keys() == promised.updates.keys()
