"""Fault injection against a running Fuze stack, and a checker that proves its invariants.

`faults` breaks things, `proxy` is the network between processes, `workload` places orders,
`snapshots` reads every system of record afterwards, `checker` compares them, `report` says what
was found, and `defects` injects bugs on purpose to prove that the checker finds them.
"""
