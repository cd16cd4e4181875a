"""The same as ``python -m medlatent data lidc_nodules``; ``--help`` says more."""

import sys
from functools import partial

try:
    from medlatent.obtain import script
except ModuleNotFoundError as error:
    sys.exit(f"{error}: install the package with `pip install -e .[data]`")

main = partial(script, "lidc_nodules")

if __name__ == "__main__":
    sys.exit(main())
