"""How a Fuze process runs: settings, Temporal, worker, database, telemetry, health."""
