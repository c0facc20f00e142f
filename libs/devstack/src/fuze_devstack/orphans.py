"""Processes that outlived the supervisor which started them."""

import contextlib
import signal

import psutil


def end_orphans(strangers: list[psutil.Process], how: signal.Signals, *, patience: float) -> None:
    """End processes that are not our children; kill those that take longer than `patience` (s)."""
    for stranger in strangers:
        with contextlib.suppress(psutil.NoSuchProcess):
            stranger.send_signal(how)
    _, stubborn = psutil.wait_procs(strangers, timeout=patience)
    for stranger in stubborn:
        with contextlib.suppress(psutil.NoSuchProcess):
            stranger.kill()
    psutil.wait_procs(stubborn)
