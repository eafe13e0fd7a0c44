"""`python -m modescope` is `modescope`."""

from modescope.cli import main

if __name__ == "__main__":  # a spawned worker imports this file by another name
    main()
