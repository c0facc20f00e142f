"""A running stack, reached only as its users reach it."""

import json
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx

_PATIENCE_SECONDS = 45

TEAPOTS: dict[str, Any] = {
    "customer": "ada@example.com",
    "lines": [{"sku": "TEAPOT-1", "quantity": 3, "unit_price": 1999}],
    "payment_method": "pm_card_visa",
    "address": {"zip_code": "10001"},
}


def eventually(condition: Callable[[], Any], what: str) -> Any:  # noqa: ANN401 - whatever it finds
    """Wait until the condition holds, and return what it found."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.1)
    raise AssertionError(f"not within {_PATIENCE_SECONDS} s: {what}")


@dataclass
class Stack:
    """A running stack, over its command line, its stack.json and HTTP."""

    folder: Path
    fuze: list[str]
    http: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=15, trust_env=False))

    def run(self, command: str, *arguments: str) -> str:
        done = subprocess.run(
            [*self.fuze, command, *arguments, "--state-dir", str(self.folder)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    @property
    def facts(self) -> dict[str, Any]:
        facts: dict[str, Any] = json.loads((self.folder / "stack.json").read_text())
        return facts

    def get(self, path: str, component: str = "gateway") -> httpx.Response:
        return self.http.get(f"{self.facts[component]['url']}{path}")

    def post(self, path: str, body: dict[str, Any] | None = None) -> httpx.Response:
        return self.http.post(f"{self.facts['gateway']['url']}{path}", json=body)

    def put(self, path: str, body: dict[str, Any]) -> httpx.Response:
        return self.http.put(f"{self.facts['gateway']['url']}{path}", json=body)

    def place(self, **changes: Any) -> str:  # noqa: ANN401 - a request's fields
        order_id = str(uuid4())
        answer = self.post(f"/orders/{order_id}/start", TEAPOTS | changes)
        assert answer.status_code == 202, answer.text
        return order_id

    def approve(self, order_id: str) -> None:
        answer = self.post(f"/orders/{order_id}/signals/approve", {"actor": "grace"})
        assert answer.status_code == 202, answer.text

    def status(self, order_id: str) -> dict[str, Any]:
        answer = self.get(f"/orders/{order_id}/status")
        return answer.json() if answer.is_success else {"status": None, "live": None}

    def wait_for(self, order_id: str, status: str) -> dict[str, Any]:
        def reached() -> dict[str, Any] | None:
            found = self.status(order_id)
            return found if found["status"] == status else None

        found: dict[str, Any] = eventually(reached, f"{order_id} is {status}")
        return found

    def timeline(self, order_id: str) -> list[str]:
        answer = self.get(f"/orders/{order_id}/events")
        return [event["type"] for event in answer.json().get("events", [])]

    def charges(self, order_id: str) -> list[dict[str, Any]]:
        answer = self.get(f"/psp/charges?order_id={order_id}", "sandbox")
        return list(answer.json()["charges"])

    def parcels(self, order_id: str) -> list[dict[str, Any]]:
        answer = self.get(f"/carrier/parcels?order_id={order_id}", "sandbox")
        return list(answer.json()["parcels"])

    def set_conditions(self, part: str, **conditions: Any) -> None:  # noqa: ANN401 - as JSON
        url = f"{self.facts['sandbox']['url']}/control/{part}"
        self.http.put(url, json=conditions).raise_for_status()

    def log(self, component: str) -> list[dict[str, Any]]:
        text = Path(self.facts[component]["log"]).read_text()
        return [json.loads(line) for line in text.splitlines() if line.startswith("{")]

    def said(self) -> str:
        return (self.folder / "up.log").read_text()
