"""The same as ``python -m medlatent data ham10000``; ``--help`` says more."""

import sys
from functools import partial

try:
    from medlatent.obtain import script
except ModuleNotFoundError as error:
    sys.exit(f"{error}: install the package with `pip install -e .[data]`")

main = partial(script, "ham10000")

if __name__ == "__main__":
    sys.exit(main())
