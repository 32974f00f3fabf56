"""`python -m unbroken` is the command `unbroken`."""

import sys

from unbroken._cli.main import main

if __name__ == "__main__":
    sys.exit(main())
