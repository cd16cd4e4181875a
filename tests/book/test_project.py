"""The brief of the final project: the package reads its files, and its commands and measures exist."""

import json
import re
import shlex
from pathlib import Path

import pytest

from medlatent import models
from medlatent.__main__ import main
from medlatent.claims import Protocol
from medlatent.plans import Plan

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "book/project.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"(?:^\$ |`)(python -m medlatent [^`\n]+)", PAGE, re.M)


@pytest.fixture
def project(tmp_path) -> Path:
    """The two files of the page, in the folder that it names."""
    folder = tmp_path / "results/project"
    folder.mkdir(parents=True)
    plan, protocol = re.findall(r"```toml\n(.+?)```", PAGE, re.S)
    (folder / "plan.toml").write_text(plan)
    (folder / "claims.toml").write_text(protocol)
    return folder


def test_the_plan_makes_what_the_protocol_judges(project):
    jobs = Plan.read(project / "plan.toml").jobs("laptop")
    protocol = Protocol.read(project / "claims.toml")
    judged = {name for c in protocol.claims for p in c.parts for seed in protocol.judged for name in p.names(seed)}
    assert {job.name for job in jobs} == judged
    assert not set(protocol.judged) & set(protocol.used_for_choosing)
    assert {job.source for job in jobs} == {p.set.split("/")[0] for c in protocol.claims for p in c.parts}
    assert protocol.regime["images_seen"] == jobs[0].steps * jobs[0].batch_size


@pytest.mark.parametrize("command", COMMANDS)
def test_its_commands_exist_with_their_options(command, capsys):
    program, *arguments = shlex.split(command)[2:]
    assert program == "medlatent"
    with pytest.raises(SystemExit) as stop:
        main([arguments[0], "--help"])
    assert stop.value.code == 0
    known = set(re.findall(r"--[a-z-]+", capsys.readouterr().out))
    assert {argument for argument in arguments if argument.startswith("--")} <= known


def test_the_systems_and_measures_that_it_names_exist(project):
    records = [json.loads(path.read_text()) for path in (ROOT / "results").glob("*/*.json")]
    measured = {name for r in records for numbers in r.get("metrics", {}).values() for name in numbers["values"]}
    for claim in Protocol.read(project / "claims.toml").claims:
        for part in claim.parts:
            assert {part.measure, *part.rows.values()} <= measured
    rows = [row.split("|")[1:-1] for row in re.findall(r"^\| [^|]+\? \|.*\|$", PAGE, re.M)]
    assert len(rows) == 5
    for _, systems, _, measures in rows:
        first, *rest = re.findall(r"`([\w.]+)`", measures)
        assert {f"{first}{name}" if name.startswith(".") else name for name in rest} | {first} <= measured
        assert all(hasattr(models, system) for system in re.findall(r"`([A-Z]\w+)`", systems))
