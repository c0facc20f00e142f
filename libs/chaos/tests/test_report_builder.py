"""When a target is considered recovered after a fault."""

from fuze_chaos.faults.catalog import InjectedFault, ScheduledFault
from fuze_chaos.report.builder import _add_recovery

EVENTS = [(1.0, "payment_charged"), (3.0, "order_received"), (4.5, "payment_charged")]


def _fault(target: str, error: str | None = None) -> InjectedFault:
    scheduled = ScheduledFault(number=1, kind="kill", target=target, at=0, duration=2)
    return InjectedFault(scheduled=scheduled, started=0, ended=2, error=error)


def test_an_event_that_needs_the_target_proves_its_recovery() -> None:
    fault = _add_recovery(_fault("payment->postgres"), EVENTS)

    assert (fault.recovery_event, fault.recovered_after) == ("payment_charged", 2.5)


def test_any_event_proves_the_recovery_of_a_shared_target() -> None:
    fault = _add_recovery(_fault("temporal"), EVENTS)

    assert (fault.recovery_event, fault.recovered_after) == ("order_received", 1.0)


def test_a_webhook_that_an_endpoint_accepts_proves_its_recovery() -> None:
    accepted = [(2.5, "webhook_accepted", "endpoint-2"), (3.5, "webhook_accepted", "endpoint-1")]

    assert _add_recovery(_fault("endpoint-1"), EVENTS, accepted).recovered_after == 1.5
    assert _add_recovery(_fault("webhooks->postgres"), EVENTS, accepted).recovered_after == 0.5


def test_a_fault_that_was_not_injected_has_no_recovery() -> None:
    assert _add_recovery(_fault("payment", error="no order"), EVENTS).recovered_after is None
