"""The client's own book."""

import asyncio
from pathlib import Path

from fuze_chaos import journal
from fuze_chaos.journal import Journal, promised_orders


async def test_every_line_is_there_once_its_writing_returns(tmp_path: Path) -> None:
    book = Journal(tmp_path / "book")

    await asyncio.gather(*(book.write({"line": number}) for number in range(100)))

    assert [line["line"] for line in journal.read(tmp_path / "book")] == list(range(100))
    await book.close()


async def test_a_line_that_was_cut_short_is_none(tmp_path: Path) -> None:
    book = Journal(tmp_path / "book")
    await book.write({"line": 1})
    await book.close()
    with (tmp_path / "book").open("ab") as file:
        file.write(b'{"line": 2')

    assert [line["line"] for line in journal.read(tmp_path / "book")] == [1]


async def test_an_order_is_promised_by_a_202_and_by_nothing_else(tmp_path: Path) -> None:
    book = Journal(tmp_path / "book")
    placing = {"what": "place", "identity": "a", "misuse": False, "at": 0}
    for number, answer in enumerate(
        (
            {"status": 202, "body": {"order_id": "kept"}},
            {"status": 503, "body": {}},
            {"error": "ReadError"},
        )
    ):
        await book.write(placing | {"ask": number, "order_id": f"asked-{number}"})
        await book.write({"answer_to": number, "at": 1} | answer)
    await book.close()

    assert promised_orders(tmp_path / "book") == {"kept"}
