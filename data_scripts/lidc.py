"""The same as ``python -m medlatent data lidc``; ``--help`` says more."""

import sys
from functools import partial

try:
    from medlatent.obtain import script
except ModuleNotFoundError as error:
    sys.exit(f"{error}: install the package with `pip install -e .[data]`")

main = partial(script, "lidc")

if __name__ == "__main__":
    sys.exit(main())
