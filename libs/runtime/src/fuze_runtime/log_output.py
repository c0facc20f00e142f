"""How log lines leave the process: bounded by what a reader takes, and for each place in the SDK.

A pipe that has no reader, or an error that repeats ten thousand times, must not stop a worker.
"""

import logging
import os
import queue
import select
import threading
import time
from collections import defaultdict
from dataclasses import dataclass

_CAPACITY = 5_000
_FLUSH_TIMEOUT_SECONDS = 2.0
_LINES_PER_WINDOW = 10
_WINDOW_SECONDS = 60.0
_OWN_LOGGERS = ("temporalio.workflow", "temporalio.activity")
"""The SDK's loggers that our workflows and activities use."""


class QueuedOutput(logging.Handler):
    """Formats records where they are logged, and writes them to a file descriptor in a thread.

    A line that finds the queue full is dropped and counted; the count is logged once there is
    space. The thread writes to the descriptor itself: a buffered stream has a lock, which the
    interpreter would wait for at its exit.
    """

    def __init__(self, descriptor: int, *, capacity: int = _CAPACITY) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._capacity = capacity
        self._lines: queue.Queue[str] = queue.Queue(capacity)
        self._dropped = 0
        self._reported = 0
        self._thread = threading.Thread(target=self._write_lines, name="log output", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        """Queue the formatted record; never wait."""
        try:
            line = self.format(record)
        except Exception:  # noqa: BLE001 - logging must not fail its caller
            self.handleError(record)
            return
        try:
            self._lines.put_nowait(line)
        except queue.Full:
            self._dropped += 1

    def flush(self) -> None:
        """Wait until the queued lines are written, for at most two seconds."""
        with self._lines.all_tasks_done:
            self._lines.all_tasks_done.wait_for(
                lambda: not self._lines.unfinished_tasks, timeout=_FLUSH_TIMEOUT_SECONDS
            )

    def _write_lines(self) -> None:
        while True:
            line = self._lines.get()
            try:
                self._write(line)
                self._report_dropped()
            except OSError:
                self._dropped += 1  # there is no reader any more
            finally:
                self._lines.task_done()

    def _report_dropped(self) -> None:
        dropped = self._dropped - self._reported
        if dropped and self._lines.qsize() < self._capacity // 2:
            self._reported += dropped
            self._write(self.format(_dropped_record(dropped)))

    def _write(self, line: str) -> None:
        rest = memoryview(f"{line}\n".encode(errors="backslashreplace"))
        while rest:
            try:
                rest = rest[os.write(self._descriptor, rest) :]
            except BlockingIOError:
                select.select([], [self._descriptor], [])


def _dropped_record(count: int) -> logging.LogRecord:
    record = logging.LogRecord(
        __name__, logging.WARNING, __file__, 0, "log lines dropped", None, None
    )
    record.__dict__["dropped"] = count
    return record


@dataclass
class _Window:
    ends_at: float = 0.0
    written: int = 0
    suppressed: int = 0


class SdkRateLimit(logging.Filter):
    """Lets each place in Temporal's SDK log ten lines a minute.

    Who may signal a workflow can make the SDK log a traceback for every signal, and again in each
    replay. The next line from the same place has the number of those before it as `suppressed`.
    """

    def __init__(self) -> None:
        super().__init__()
        self._windows: defaultdict[tuple[str, str, int], _Window] = defaultdict(_Window)

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether the record is written; it is called before the record is formatted."""
        if not record.name.startswith("temporalio") or record.name.startswith(_OWN_LOGGERS):
            return True
        window = self._windows[record.name, record.pathname, record.lineno]
        now = time.monotonic()
        if now >= window.ends_at:
            if window.suppressed:
                record.__dict__["suppressed"] = window.suppressed
            window.ends_at, window.written, window.suppressed = now + _WINDOW_SECONDS, 0, 0
        if window.written >= _LINES_PER_WINDOW:
            window.suppressed += 1
            return False
        window.written += 1
        return True
