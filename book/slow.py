"""Lists the tests that take long, which make check leaves out: tests/slow.txt.

    python -m pytest -n 2 --dist loadfile --junitxml=timed.xml -o junit_duration_report=call
    python book/slow.py timed.xml [SECONDS]

A test function is slow where its cases take 0.2 s or more on the average, or SECONDS, on a machine that has more to do:
not where it has many cases. What a fixture takes counts for none, since the next test would need it as well.
"""

import sys
from collections import defaultdict
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parents[1]
SLOW = ROOT / "tests/slow.txt"


def name_of(case: ElementTree.Element) -> str:
    """The name of a test function, as pytest has it on its command line."""
    parts = [*case.get("classname", "").split("."), case.get("name", "").partition("[")[0]]
    files = (Path(*parts[:count]).with_suffix(".py") for count in range(1, len(parts)))
    file = next(path for path in files if (ROOT / path).is_file())
    return "::".join([file.as_posix(), *parts[len(file.parts) :]])


def slow(timed: ElementTree.Element, seconds: float) -> list[str]:
    """The test functions of a run whose cases take so long on the average, sorted."""
    cases = defaultdict(list)
    for case in timed.iter("testcase"):
        cases[name_of(case)].append(float(case.get("time", 0)))
    return sorted(name for name, took in cases.items() if sum(took) / len(took) >= seconds)


if __name__ == "__main__":
    names = slow(ElementTree.parse(sys.argv[1]).getroot(), float(sys.argv[2]) if len(sys.argv) > 2 else 0.2)
    SLOW.write_text("\n".join(names) + "\n", encoding="utf-8")
    print(f"{len(names)} slow test functions: {SLOW}")
