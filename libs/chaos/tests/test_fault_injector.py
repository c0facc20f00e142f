"""What is said of a fault, besides that it was there."""

from pathlib import Path
from typing import cast

import pytest

from fuze_chaos.faults import Faults, Scene
from fuze_chaos.outcome import Strike
from fuze_chaos.street import Street
from fuze_devstack.stack import Stack

_LINK = "payment->postgres"


async def _storm(_: int) -> None:
    """None is wanted."""


@pytest.mark.parametrize("kind", ["cut", "half-open", "delay", "reset-after-reply"])
async def test_a_link_that_nobody_used_meanwhile_says_so(kind: str, tmp_path: Path) -> None:
    async with Street({_LINK: 1}) as street:
        scene = Scene(
            stack=cast("Stack", None),
            folder=tmp_path,
            street=street,
            sandbox="",
            dsn="",
            storm=_storm,
        )
        strike = Strike(number=1, kind=kind, target=_LINK, at=0, lasts=0)

        assert await Faults(scene).carry_out(strike) == "nothing came by meanwhile"
