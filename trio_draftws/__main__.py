"""`python -m trio_draftws`: the command line."""

import sys

from trio_draftws.cli import main

__all__ = ["main"]

if __name__ == "__main__":
    sys.exit(main())
