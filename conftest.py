"""Load the fixtures that the tests of all packages share."""

pytest_plugins = ["fuze_testing.fixtures", "fuze_testing.scheduling"]
