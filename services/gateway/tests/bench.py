"""Benchmark: the gateway's reads against a baseline app with the same query.

`make bench-gateway` prints requests per second of both and the median ratio. It alternates short
rounds of each, so that other load on the machine affects both. Each is one uvicorn process; the
gateway authenticates, rate-limits and logs as in production. A third process generates the load.
"""

import argparse
import asyncio
import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import asyncpg
import httpx

from fuze_devstack.ports import Ports
from fuze_devstack.postgres import EmbeddedPostgres
from fuze_testing.postgres import migrated_postgres

_ORDER = UUID("123e4567-e89b-12d3-a456-426614174000")
_CONNECTIONS = 16
_MIN_RATIO = 0.7


class _Connection(asyncio.Protocol):
    """A connection that sends the next request when it has the response."""

    def __init__(self, request: bytes) -> None:
        self._request = request
        self._buffer = b""
        self.completed = 0
        self.failed = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, separator, body = self._buffer.partition(b"\r\n\r\n")
        if not separator:
            return
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0])
        if len(body) < length:
            return
        self.completed += 1
        self.failed += not head.startswith(b"HTTP/1.1 200")
        self._buffer = body[length:]
        self.transport.write(self._request)


async def _requests_per_second(port: int, path: str, key: str, seconds: float) -> float:
    request = (
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {key}\r\n\r\n".encode()
    )
    loop = asyncio.get_running_loop()
    connections = [
        (await loop.create_connection(lambda: _Connection(request), "127.0.0.1", port))[1]
        for _ in range(_CONNECTIONS)
    ]
    started_at = time.perf_counter()
    await asyncio.sleep(seconds)
    elapsed = time.perf_counter() - started_at
    completed = sum(one.completed for one in connections)
    if failed := sum(one.failed for one in connections):
        raise SystemExit(f"{failed} of {completed} responses were not 200")
    for one in connections:
        one.transport.abort()
    return completed / elapsed


@contextlib.contextmanager
def _serve(command: list[str], environment: dict[str, str], port: int) -> Iterator[None]:
    process = subprocess.Popen(
        [sys.executable, *command],
        env=os.environ | environment,
        stdout=subprocess.DEVNULL,
        cwd=Path(__file__).parent,
    )
    try:
        while True:
            with contextlib.suppress(httpx.HTTPError):
                httpx.get(f"http://127.0.0.1:{port}/livez", trust_env=False)
                break
            if process.poll() is not None:
                raise SystemExit(f"{command} ended with code {process.returncode}")
            time.sleep(0.05)
        yield
    finally:
        process.terminate()
        process.wait()


async def _fill(postgres: EmbeddedPostgres) -> None:
    connection = await asyncpg.connect(postgres.dsn)
    await connection.execute(
        "INSERT INTO orders.orders (id, run_id, fingerprint, status, payment_status, customer,"
        " currency, total_minor, payment_token, address, tracking_number, last_seq,"
        " approval_deadline, created_at, updated_at) VALUES ($1, 'run', 'none', 'shipped',"
        " 'charged', 'ada@example.com', 'USD', 5997, 'token', '{\"country\": \"US\"}',"
        " 'FZ1', 1, now(), now(), now())",
        _ORDER,
    )
    await connection.execute(
        "INSERT INTO orders.order_lines VALUES ($1, 1, '1', 'TEAPOT-1', NULL, 3, 1999, 0, 0, true)",
        _ORDER,
    )
    await connection.execute(
        "INSERT INTO orders.events (order_id, seq, type, status, payment_status, actor,"
        " occurred_at) VALUES ($1, 1, 'order_shipped', 'shipped', 'charged', 'ada', now())",
        _ORDER,
    )
    await connection.close()


def _make_key(environment: dict[str, str]) -> str:
    made = subprocess.run(
        [
            *(sys.executable, "-m", "fuze_gateway", "api-keys", "create"),
            *("--client", "bench", "--role", "viewer"),
        ],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return made.stdout.strip()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=0.75)
    arguments = parser.parse_args()
    ports = Ports.free()
    with (
        tempfile.TemporaryDirectory(prefix="fuze-bench-") as folder,
        migrated_postgres(_make_traversable(Path(folder))) as postgres,
    ):
        asyncio.run(_fill(postgres))
        environment = {
            "FUZE_DATABASE_URL": postgres.url("gateway"),
            "FUZE_AUTHENTICATION": "required",
            "FUZE_RATE_LIMIT": "1000000/second",
            "FUZE_PORT": str(ports.gateway),
            "BASELINE_PORT": str(ports.sandbox),
        }
        key = _make_key(environment)
        with (
            _serve(["-m", "fuze_gateway"], environment, ports.gateway),
            _serve(["baseline_app.py"], environment, ports.sandbox),
        ):
            ratios = [_compare(path, ports, key, arguments) for path in ("", "/status")]
    if min(ratios) < _MIN_RATIO:
        raise SystemExit(f"below {_MIN_RATIO} of the baseline")


def _compare(path: str, ports: Ports, key: str, arguments: argparse.Namespace) -> float:
    url = f"/orders/{_ORDER}{path}"
    measured: dict[int, list[float]] = {ports.gateway: [], ports.sandbox: []}
    for port in measured:  # warm up caches and pools
        asyncio.run(_requests_per_second(port, url, key, 1))
    for _ in range(arguments.rounds):
        for port, found in measured.items():
            found.append(asyncio.run(_requests_per_second(port, url, key, arguments.seconds)))
    gateway, baseline = (statistics.median(found) for found in measured.values())
    ratio = statistics.median(one / other for one, other in zip(*measured.values(), strict=True))
    print(
        f"GET /orders/{{id}}{path:<8} gateway {gateway:6.0f}/s   baseline {baseline:6.0f}/s",
        end="   ",
    )
    print(f"ratio {ratio:.2f}")
    return ratio


def _make_traversable(folder: Path) -> Path:
    folder.chmod(0o711)  # PostgreSQL runs as its own user
    return folder


if __name__ == "__main__":
    main()
