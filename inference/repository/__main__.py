"""`python -m inference.repository`."""

import sys

from inference.repository.command import main

if __name__ == "__main__":
    sys.exit(main())
