"""The workload: seeded order scenarios, and the client that plays them through the gateway."""
