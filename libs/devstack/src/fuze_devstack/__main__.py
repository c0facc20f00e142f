"""`python -m fuze_devstack` is `fuze`."""

from fuze_devstack.cli import main

main()
