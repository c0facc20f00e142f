"""`python -m fuze_devstack` is `fuze`."""

from fuze_client.cli.main import main

main()
