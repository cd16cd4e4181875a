"""Every name of the package that a page links to is there; Sphinx, which builds the pages later, finds the rest."""

import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
IN_PAGES = re.compile(r"{py:(?:func|class|mod|meth|attr|data|obj|exc)}`([^`]+)`")
IN_CODE = re.compile(r":(?:func|class|mod|meth|attr|data|obj|exc):`([^`]+)`")
PAGES = sorted([*ROOT.glob("notebooks/*.py"), *ROOT.glob("book/*.md"), *ROOT.glob("book/api/*.md"), ROOT / "README.md"])
MODULES = sorted(ROOT.glob("medlatent/**/*.py"))


def target(link: str) -> str:
    """``a.b`` of ``a.b``, ``~a.b`` and ``title <a.b>``."""
    return re.sub(r".*<(.+)>$", r"\1", link, flags=re.S).lstrip("~!")


def found(name: str) -> bool:
    """Whether ``medlatent.module.Class.method`` exists."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        try:
            thing = importlib.import_module(".".join(parts[:length]))
        except ModuleNotFoundError as error:
            if not ".".join(parts[:length]).startswith(error.name or "?"):
                raise  # not the name, but something that its module needs
            continue
        for part in parts[length:]:
            if not hasattr(thing, part) and part not in getattr(thing, "__annotations__", {}):
                return False
            thing = getattr(thing, part, None)
        return True
    return False


def module_of(source: Path) -> str:
    return ".".join(source.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_pages_link_to_names_that_exist(page):
    names = {target(link) for link in IN_PAGES.findall(page.read_text(encoding="utf-8"))}
    assert [name for name in sorted(names) if not found(name)] == []


def test_docstrings_link_to_names_that_exist():
    lost = []
    for source in MODULES:
        text, here = source.read_text(encoding="utf-8"), module_of(source)
        classes = re.findall(r"^class (\w+)", text, re.M)
        for name in sorted({target(link) for link in IN_CODE.findall(text)}):
            # As Sphinx does: from the class, from the module, from the package that publishes it, or absolute.
            places = [f"{here}.{scope}" for scope in classes] + [here, here.rpartition(".")[0]]
            if not found(name) and not any(found(f"{place}.{name.lstrip('.')}") for place in places if place):
                lost.append(f"{source.relative_to(ROOT)}: {name}")
    assert lost == []


@pytest.mark.parametrize(
    ("link", "there"),
    [
        ("medlatent.models.VAE", True),
        ("~medlatent.models.VAE.encode", True),
        ("the record <medlatent.records.Record.data>", True),
        ("medlatent.evaluation", True),
        ("medlatent.results.evaluate", False),
        ("medlatent.models.VAE.paint", False),
    ],
)
def test_a_lost_name_is_seen(link, there):
    assert found(target(link)) is there
