"""`python -m bnexp` is `bnexp`."""

import sys

from bnexp.cli import main

if __name__ == "__main__":
    sys.exit(main())
