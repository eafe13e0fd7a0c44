"""`python -m modescope` is `modescope`."""

from modescope.cli import main

main()
