"""The programs that Fuze is compared with. Each runs as its own processes."""
