"""Processes that outlived the supervisor which started them."""

import contextlib
import signal
from pathlib import Path

import psutil


def orphans_in(folder: Path, name: str) -> list[psutil.Process]:
    """Return the processes of this name whose working directory is `folder`."""
    resolved = folder.resolve()
    return [
        process
        for process in psutil.process_iter(["name", "cwd"])
        if process.info["name"] == name and process.info["cwd"] == str(resolved)
    ]


def end_strangers(strangers: list[psutil.Process], how: signal.Signals, *, patience: float) -> None:
    """End processes that are not our children; kill those that take longer than `patience` (s)."""
    for stranger in strangers:
        with contextlib.suppress(psutil.NoSuchProcess):
            stranger.send_signal(how)
    _, stubborn = psutil.wait_procs(strangers, timeout=patience)
    for stranger in stubborn:
        with contextlib.suppress(psutil.NoSuchProcess):
            stranger.kill()
    psutil.wait_procs(stubborn)
