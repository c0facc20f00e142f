"""The client's request log."""

import asyncio
from pathlib import Path

from fuze_chaos.workload.request_log import RequestLog, accepted_orders, read_log


async def test_a_line_is_on_disk_once_write_returns(tmp_path: Path) -> None:
    log = RequestLog(tmp_path / "log")

    await asyncio.gather(*(log.write({"line": number}) for number in range(100)))

    assert [line["line"] for line in read_log(tmp_path / "log")] == list(range(100))
    await log.close()


async def test_a_truncated_last_line_is_skipped(tmp_path: Path) -> None:
    log = RequestLog(tmp_path / "log")
    await log.write({"line": 1})
    await log.close()
    with (tmp_path / "log").open("ab") as file:
        file.write(b'{"line": 2')

    assert [line["line"] for line in read_log(tmp_path / "log")] == [1]


async def test_only_a_202_makes_an_order_accepted(tmp_path: Path) -> None:
    log = RequestLog(tmp_path / "log")
    request = {"operation": "place", "identity": "a", "is_key_reuse": False, "at": 0}
    for number, response in enumerate(
        (
            {"status": 202, "body": {"order_id": "accepted"}},
            {"status": 503, "body": {}},
            {"error": "ReadError"},
        )
    ):
        await log.write(request | {"request": number, "order_id": f"placed-{number}"})
        await log.write({"response_to": number, "at": 1} | response)
    await log.close()

    assert accepted_orders(tmp_path / "log") == {"accepted"}
