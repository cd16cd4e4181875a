"""Which parts of the package may know which: each arrow of its design points one way."""

import ast

import pytest

# By folder, what else of the package its modules may import.
KNOWN = {"metrics": ("options",), "losses": ("nets", "options"), "nets": ("data", "options")}


def imported(path, root):
    """The full names of all that a file imports, inside of functions too."""
    package = path.relative_to(root).parent.parts
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) + 1 - node.level] if node.level else ()
            yield from (".".join([*above, *filter(None, [node.module]), alias.name]) for alias in node.names)


def under(name, module):
    return f"{name}.".startswith(f"{module}.")


@pytest.mark.parametrize("folder", KNOWN)
def test_a_part_imports_only_what_it_may_know(root, folder):
    files = sorted((root / "medlatent" / folder).rglob("*.py"))
    assert len(files) > 3
    allowed = [f"medlatent.{part}" for part in (folder, *KNOWN[folder])]
    strange = [
        f"{path.relative_to(root)}: {name}"
        for path in files
        for name in imported(path, root)
        if under(name, "medlatent") and not any(under(name, part) for part in allowed)
    ]
    assert not strange


def test_what_checks_whole_numbers_knows_no_other_part(root):
    assert not [name for name in imported(root / "medlatent/options.py", root) if under(name, "medlatent")]


def spelled_out(path):
    """Chains of attributes such as ``torch.nn.Linear``: whoever has ``torch`` needs no import of ``torch.nn``."""
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    inner = {node.value for node in nodes if isinstance(node, ast.Attribute)}
    return [ast.unparse(node) for node in nodes if isinstance(node, ast.Attribute) and node not in inner]


def test_no_metric_holds_a_network(root):
    """Functions of tensors, ``torch.nn.functional``, are none."""
    files = sorted((root / "medlatent/metrics").rglob("*.py"))
    found = [
        f"{path.relative_to(root)}: {name}"
        for path in files
        for name in [*imported(path, root), *spelled_out(path)]
        if under(name, "torch.optim") or (under(name, "torch.nn") and not under(name, "torch.nn.functional"))
    ]
    assert not found


def test_every_kind_of_import_is_seen(tmp_path):
    folder = tmp_path / "medlatent/metrics/disentanglement"
    folder.mkdir(parents=True)
    module = folder / "mig.py"
    module.write_text(
        "import torch.nn as nn\nfrom torch import nn\nfrom .. import _checks\nfrom ...nets import ConvEncoder\n"
        "from . import sap\n\n\ndef score():\n    from medlatent import data\n"
        "    return torch.nn.Linear(2, data.size)\n"
    )
    assert spelled_out(module) == ["torch.nn.Linear", "data.size"]
    assert sorted(imported(module, tmp_path)) == [
        "medlatent.data",
        "medlatent.metrics._checks",
        "medlatent.metrics.disentanglement.sap",
        "medlatent.nets.ConvEncoder",
        "torch.nn",
        "torch.nn",
    ]
