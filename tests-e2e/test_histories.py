"""`make histories` has nothing left to record."""

import itertools

from record_histories import list_scenarios, recorded


def test_list_scenarios_is_recorded_and_every_record_has_its_way() -> None:
    wanted = list(itertools.chain.from_iterable(files for _, _, files in list_scenarios()))

    assert len(set(wanted)) == len(wanted)
    assert recorded() == set(wanted)
