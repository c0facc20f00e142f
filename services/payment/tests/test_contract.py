"""The workflow implements its contract under the same names."""

import inspect
from typing import get_args

from temporalio import workflow

from fuze_contracts import payment as contract
from fuze_contracts.read_models import PaymentStateName, RefundStateName
from fuze_payment.domain import PaymentState, RefundState
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


def test_the_published_states_are_those_that_are_stored() -> None:
    assert set(get_args(PaymentStateName)) == set(PaymentState)
    assert set(get_args(RefundStateName)) == set(RefundState)
