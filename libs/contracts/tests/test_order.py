from uuid import UUID

import pytest

from fuze_contracts.order_states import TERMINAL_STATUSES, OrderStatus
from fuze_contracts.workflow_ids import (
    order_workflow_id,
    parse_order_id,
    shipping_workflow_id,
    workflow_log_fields,
)

_ID = UUID("123e4567-e89b-12d3-a456-426614174000")


@pytest.mark.parametrize("workflow_id", [order_workflow_id(_ID), shipping_workflow_id(_ID)])
def test_an_order_is_found_by_the_id_of_each_of_its_workflows(workflow_id: str) -> None:
    assert parse_order_id(workflow_id) == str(_ID)
    assert workflow_log_fields(workflow_id) == {"order_id": str(_ID)}


@pytest.mark.parametrize("workflow_id", ["reconciliation/today", "order/", "order", ""])
def test_a_workflow_of_no_single_order_has_no_order(workflow_id: str) -> None:
    assert parse_order_id(workflow_id) is None
    assert workflow_log_fields(workflow_id) == {}


def test_every_status_from_shipped_on_is_an_end() -> None:
    statuses = list(OrderStatus)
    assert set(statuses[statuses.index(OrderStatus.SHIPPED) :]) == TERMINAL_STATUSES
