"""What `make histories` would do: nothing, until a workflow has a new way."""

import itertools

from record_histories import every_way, recorded


def test_every_way_is_recorded_and_every_record_has_its_way() -> None:
    wanted = list(itertools.chain.from_iterable(files for _, _, files in every_way()))

    assert len(set(wanted)) == len(wanted)
    assert recorded() == set(wanted)
