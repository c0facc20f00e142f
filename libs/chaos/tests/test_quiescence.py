"""Which orders are late after a run."""

from fuze_chaos.checker.quiescence import orders_of


def test_an_order_is_late_if_its_workflow_or_its_shipment_is_running() -> None:
    running = ["order/1", "shipping/2", "carrier-webhook/3", "refund/4/5"]

    assert orders_of(running) == {"1", "2"}
