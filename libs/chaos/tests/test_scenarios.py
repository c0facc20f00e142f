"""The scenarios of the workload: reproducible by their seed, and complete."""

from fuze_chaos.workload.scenarios import WEIGHTS, build_scenario


def test_the_same_seed_gives_the_same_scenarios() -> None:
    assert [build_scenario(3, number) for number in range(50)] == [
        build_scenario(3, number) for number in range(50)
    ]


def test_order_ids_of_a_run_are_unique() -> None:
    assert len({build_scenario(3, number).order_id for number in range(500)}) == 500


def test_five_hundred_orders_play_every_scenario() -> None:
    names = {build_scenario(20261125, number).name for number in range(500)}

    assert names == {
        "plain", "repeated-requests", "auto-approved", "zero-total", "not-served", "rejected",
        "expired", "cancelled-before-approval", "cancelled-after-approval",
        "cancelled-asynchronously", "address-changed", "carrier-rejects-address",
        "payment-declined", "payment-under-review", "idempotency-key", "order-id-reused",
        "refunded", "conflicting-decisions", "without-shipping", "with-adjustments",
        "goods-returned",
    }  # fmt: skip
    assert len(names) == len(WEIGHTS)
