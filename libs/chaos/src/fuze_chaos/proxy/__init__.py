"""TCP proxies between processes, which can reset, delay, drop or swallow traffic."""
