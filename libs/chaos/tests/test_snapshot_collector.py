"""How the client's request log becomes the records of each order."""

from pathlib import Path

from fuze_chaos.snapshots.collector import _group_by_order, _read_actions, _read_requests
from fuze_chaos.snapshots.records import WorkflowRecord
from fuze_chaos.workload.request_log import RequestLog

PLACE = {"operation": "place", "at": 1.0, "identity": "key-1", "is_key_reuse": False}


async def _log(path: Path, *lines: dict[str, object]) -> Path:
    log = RequestLog(path)
    for line in lines:
        await log.write(line)
    await log.close()
    return path


async def test_an_order_placed_without_an_id_has_the_id_of_its_response(tmp_path: Path) -> None:
    response = {"response_to": 1, "at": 2.0, "status": 202, "body": {"order_id": "assigned"}}
    path = await _log(tmp_path / "log", PLACE | {"request": 1, "order_id": "drawn"}, response)

    orders = _group_by_order([], {}, {}, _read_requests(path), [])

    assert orders.keys() == {"assigned"}
    assert orders["assigned"].is_accepted


async def test_a_request_without_a_response_is_not_accepted(tmp_path: Path) -> None:
    path = await _log(tmp_path / "log", PLACE | {"request": 1, "order_id": "1"})

    [(_, request)] = _read_requests(path)

    assert (request.status, request.is_accepted) == (None, False)


def test_rows_are_grouped_by_their_order() -> None:
    charge = {"order_id": "1", "id": "ch_1", "status": "charged", "amount_minor": 500}
    refund = {"order_id": "1", "id": "re_1", "amount_minor": 200}
    rows = {"provider_charges": [charge], "provider_refunds": [refund]}

    orders = _group_by_order([{"order_id": "2", "status": "shipped"}], rows, {}, [], [])

    assert (orders["1"].net_captured(), orders["2"].status) == (300, "shipped")


async def test_an_action_of_an_operator_belongs_to_the_order_of_its_workflow(
    tmp_path: Path,
) -> None:
    reset = {"action": 1, "at": 1.0, "fault": 3, "kind": "reset", "workflow_id": "shipping/1",
             "details": "to the first task", "excludes_messages": True}  # fmt: skip
    lost = reset | {"action": 2, "workflow_id": "order/1", "kind": "cancel"}
    path = await _log(
        tmp_path / "log", reset, lost, {"accepted": 1, "at": 2.0, "status": "preparing"}
    )

    orders = _group_by_order([], {}, {}, [], _read_actions(path))

    accepted, unknown = orders["1"].operator_actions
    assert (accepted.workflow, accepted.is_accepted, accepted.status) == (
        "shipping",
        True,
        "preparing",
    )
    assert (unknown.workflow, unknown.is_accepted) == ("order", False)


def test_a_webhook_belongs_to_the_order_of_its_shipment() -> None:
    parcel = {"order_id": "1", "shipment_id": "s-1", "id": "pcl_1"}
    workflows = {
        "carrier-webhook/evt_1": WorkflowRecord("COMPLETED", shipment_id="s-1"),
        "carrier-webhook/evt_2": WorkflowRecord("COMPLETED", shipment_id="s-2"),
    }

    orders = _group_by_order([], {"parcels": [parcel]}, workflows, [], [])

    assert orders["1"].carrier_webhooks == [workflows["carrier-webhook/evt_1"]]
