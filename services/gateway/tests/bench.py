"""How much the gateway costs beside a bare handler that runs the same one query.

`make bench-gateway` prints requests per second of both, in one run, a short round of each in turn,
and the median of the rounds' ratios: whatever else the machine does meets both alike. Both are one
uvicorn process; the gateway authenticates, limits, logs and answers as in production. What loads
them is a third process, on the other core.
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
_ENOUGH = 0.7


class _Caller(asyncio.Protocol):
    """One connection that asks again as soon as it is answered."""

    def __init__(self, request: bytes) -> None:
        self._request = request
        self._buffer = b""
        self.answered = 0
        self.wrong = 0

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
        self.answered += 1
        self.wrong += not head.startswith(b"HTTP/1.1 200")
        self._buffer = body[length:]
        self.transport.write(self._request)


async def _requests_per_second(port: int, path: str, key: str, seconds: float) -> float:
    request = (
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {key}\r\n\r\n".encode()
    )
    loop = asyncio.get_running_loop()
    callers = [
        (await loop.create_connection(lambda: _Caller(request), "127.0.0.1", port))[1]
        for _ in range(_CONNECTIONS)
    ]
    began = time.perf_counter()
    await asyncio.sleep(seconds)
    took = time.perf_counter() - began
    answered = sum(caller.answered for caller in callers)
    if wrong := sum(caller.wrong for caller in callers):
        raise SystemExit(f"{wrong} of {answered} answers were not 200")
    for caller in callers:
        caller.transport.abort()
    return answered / took


@contextlib.contextmanager
def _served(command: list[str], environment: dict[str, str], port: int) -> Iterator[None]:
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
        " 'charged', 'ada@example.com', 'USD', 5997, 'token', '{\"zip_code\": \"10001\"}',"
        " 'FZ1', 1, now(), now(), now())",
        _ORDER,
    )
    await connection.execute(
        "INSERT INTO orders.order_lines VALUES ($1, 1, 'TEAPOT-1', 3, 1999)", _ORDER
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
            *(sys.executable, "-m", "fuze_gateway", "keys", "create"),
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
        migrated_postgres(_open_to_all(Path(folder))) as postgres,
    ):
        asyncio.run(_fill(postgres))
        environment = {
            "FUZE_DATABASE_URL": postgres.url("gateway"),
            "FUZE_AUTHENTICATION": "required",
            "FUZE_RATE_LIMIT": "1000000/second",
            "FUZE_PORT": str(ports.gateway),
            "BARE_PORT": str(ports.sandbox),
        }
        key = _make_key(environment)
        with (
            _served(["-m", "fuze_gateway"], environment, ports.gateway),
            _served(["bare.py"], environment, ports.sandbox),
        ):
            ratios = [_compare(path, ports, key, arguments) for path in ("", "/status")]
    if min(ratios) < _ENOUGH:
        raise SystemExit(f"below {_ENOUGH} of the bare handler")


def _compare(path: str, ports: Ports, key: str, arguments: argparse.Namespace) -> float:
    url = f"/orders/{_ORDER}{path}"
    measured: dict[int, list[float]] = {ports.gateway: [], ports.sandbox: []}
    for port in measured:  # caches and pools are warm in production, too
        asyncio.run(_requests_per_second(port, url, key, 1))
    for _ in range(arguments.rounds):
        for port, found in measured.items():
            found.append(asyncio.run(_requests_per_second(port, url, key, arguments.seconds)))
    ours, bare = (statistics.median(found) for found in measured.values())
    ratio = statistics.median(one / other for one, other in zip(*measured.values(), strict=True))
    print(f"GET /orders/{{id}}{path:<8} gateway {ours:6.0f}/s   bare {bare:6.0f}/s", end="   ")
    print(f"ratio {ratio:.2f}")
    return ratio


def _open_to_all(folder: Path) -> Path:
    folder.chmod(0o711)  # PostgreSQL's own user passes through
    return folder


if __name__ == "__main__":
    main()
