"""Writes the public address, which stands in ``_config.yml`` alone, into every file that repeats it.

    python book/address.py [--check]

``repository`` in ``pyproject.toml`` says what address the files hold now.
"""

import argparse
import re
import sys
import tomllib
from pathlib import Path

import yaml
from common import BuildError, write

ROOT = Path(__file__).resolve().parents[1]
DERIVED = (
    "README.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "CHANGELOG.md",
    "CITATION.cff",
    "pyproject.toml",
    "notebooks/*.py",
    "book/session.py",  # the cell for Colab
    "book/*.md",
    "book/*/*.md",
)
MUST_HOLD = ("README.md", "SECURITY.md", "CITATION.cff", "pyproject.toml")


def owner_and_name(url: str) -> tuple[str, str]:
    """``https://github.com/OWNER/NAME`` -> OWNER, NAME."""
    match = re.fullmatch(r"https://github\.com/([\w.-]+)/([\w.-]+)", url.rstrip("/"))
    if not match:
        raise BuildError(f"_config.yml: repository.url must read https://github.com/OWNER/NAME, not {url!r}")
    return match[1], match[2]


def forms(url: str) -> list[str]:
    """The address, Colab's view of it, the published book's, and Binder's view."""
    owner, name = owner_and_name(url)
    return [
        f"https://github.com/{owner}/{name}",
        f"https://colab.research.google.com/github/{owner}/{name}",
        f"https://{owner}.github.io/{name}",
        f"https://mybinder.org/v2/gh/{owner}/{name}",
    ]


def rewrite(text: str, old: str, new: str) -> str:
    """Every form of the old address replaced by the new; longer names that begin alike are left alone."""
    for before, after in zip(forms(old), forms(new), strict=True):
        text = re.sub(re.escape(before) + r"(?![\w-])", lambda _, after=after: after, text)
    return text


def update(root: Path, check: bool) -> list[str]:
    """Rewrites the files, or with ``check`` only says which are out of step."""
    new = yaml.safe_load((root / "_config.yml").read_text(encoding="utf-8"))["repository"]["url"].rstrip("/")
    old = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]["urls"]["repository"]
    changed = []
    for path in sorted(p for pattern in DERIVED for p in root.glob(pattern)):
        text = path.read_text(encoding="utf-8")
        result = rewrite(text, old, new)
        strangers = [
            found
            for pattern in (
                r"https://colab\.research\.google\.com/github/[\w./-]+",
                r"https://mybinder\.org/v2/gh/[\w./-]+",
                r"https://[\w.-]+\.github\.io/[\w.-]+",
            )
            for found in re.findall(pattern, result)
            if not found.startswith(tuple(forms(new)))
        ]
        missing = path.name in MUST_HOLD and new not in result
        if strangers or missing:
            raise BuildError(f"{path}: holds {strangers[0] if strangers else 'nothing'} where {new} belongs")
        if result != text:
            changed.append(str(path.relative_to(root)))
            if not check:
                write(path, result)
    return changed


def main() -> str | None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a file is out of step")
    parser.add_argument("--root", type=Path, default=ROOT)
    args = parser.parse_args()
    try:
        changed = update(args.root, args.check)
    except BuildError as error:
        return str(error)
    if changed and args.check:
        return f"out of step with repository.url in _config.yml: {', '.join(changed)}. Run: make pair"
    for name in changed:
        print(f"wrote {name}")
    return None


if __name__ == "__main__":
    sys.exit(main())
