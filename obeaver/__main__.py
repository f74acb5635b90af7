"""`python -m obeaver`."""

import sys

from obeaver.cli import main

if __name__ == "__main__":
    sys.exit(main())
