"""Which orders a run says are late."""

from fuze_chaos.stuck import orders_of


def test_an_order_is_late_whose_workflow_or_shipment_is_under_way() -> None:
    under_way = ["order/1", "shipping/2", "carrier-event/3", "payment-refund/4/5"]

    assert orders_of(under_way) == {"1", "2"}
