"""The page of claims: what each paper claims, and the verdicts that ``results/SLUG/claims.json`` holds."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import chapters
import yaml
from common import BuildError
from generate import GENERATED

INTRODUCTION = """\
What the papers claim, in their own words, and what came of it here. A verdict is computed from a protocol and from
records; {py:mod}`medlatent.claims` says how. The protocol was written before the runs that it judges, unless it says
otherwise. A verdict is one of five words:

- **supported**: zero is excluded, in the claimed direction;
- **contradicted**: zero is excluded on the other side;
- **not at the paper's size**: zero is not excluded, the paper's effect is, and ours falls short of it;
- **undecided**: none of these, with the number of seeds that would decide;
- **not testable here**: what is missing is said.

"Excluded" is meant after a correction for all comparisons of the chapter. Where a part is one-sided, "not worse by more
than δ", δ stands in the place of zero. A claim is supported only if all its parts are.

The runs see a small share of the images that the papers' runs saw. A verdict holds under the regime that stands above
the claims of its paper: read both.
"""


def claims_page(root: Path) -> str:
    """Every claim of every paper: its verdict, regime, records and command, as far as they are there.

    Raises:
        BuildError: a protocol is no TOML.
        ValueError: a ``claims.json`` was changed by hand or damaged.
    """
    source = root / "book/papers.toml"
    papers = tomllib.loads(source.read_text(encoding="utf-8"))["papers"] if source.is_file() else []
    url = yaml.safe_load((root / "_config.yml").read_text(encoding="utf-8"))["repository"]["url"].rstrip("/")
    labels = {c.slug: f"{{ref}}`{c.label}`" for c in chapters.chapters(root)}
    lines = [GENERATED["claims"], INTRODUCTION]
    for paper in papers:
        lines += [f"\n## {paper['name']}\n"]
        lines += [f"{{cite:t}}`{paper['cite']}`. Chapter: {labels.get(paper['slug'], 'to come')}.\n"]
        lines += section(root, paper, f"{url}/blob/main/results/{paper['slug']}")
    return "\n".join(lines) + "\n"


def section(root: Path, paper: dict, files: str) -> Iterator[str]:
    """The claims of one paper in a table, and below it the judged ones in full.

    Args:
        root: the folder of the project.
        paper: an entry of ``book/papers.toml``.
        files: the public address of the chapter's records.
    """
    slug, folder = paper["slug"], root / "results" / paper["slug"]
    judged = (folder / "claims.json").is_file()
    if judged:
        # Here: a book without verdicts is built without the package's dependencies.
        from medlatent.claims import read_claims
        from medlatent.course.claims import regime

        chapter = read_claims(slug, root / "results")
        claims = chapter["claims"]
    else:
        claims = protocol(folder / "claims.toml")
    short = dict(paper["claims"])
    own = {id: [c for c in claims if re.match(rf"{id}(?!\d)", c["id"])] for id in short}
    for claim in claims if judged else []:
        if not any(claim in found for found in own.values()):  # one more that the paper's words hold
            short[claim["id"]], own[claim["id"]] = f"“{claim['quote']}”", [claim]
    yield "| Claim | In short | Verdict |\n|:--|:--|:--|"
    for id, says in short.items():
        said = [f"{{ref}}`{c['id']}: {c['verdict']} <{label(slug, c['id'])}>`" for c in own[id] if judged]
        yield f"| {id} | {escaped(says)} | {'; '.join(said) or 'to come'} |"
    yield ""
    if judged:
        yield "All of it was judged under one regime:\n"
        yield from (f"- {escaped(line)}" for line in regime(chapter))
        for claim in claims:
            yield from in_full(chapter, claim, files)
    elif claims:
        yield f"The verdicts are to come. Its [protocol]({files}/claims.toml) quotes:\n"
        for claim in claims:
            yield f"- {escaped(claim['id'])}: “{escaped(claim['quote'])}” ({escaped(claim['place'])})"


def protocol(path: Path) -> list[dict]:
    """The quotations of a protocol whose verdicts are to come."""
    if not path.is_file():
        return []
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))["claims"]
    except (tomllib.TOMLDecodeError, KeyError) as error:
        raise BuildError(f"{path} is no protocol: {error}") from None


def in_full(chapter: dict, claim: dict, files: str) -> Iterator[str]:
    """One claim: the paper's words, its parts, and from what records they were judged."""
    from medlatent.course.claims import margin_lines, table_html

    yield f"\n({label(chapter['slug'], claim['id'])})=\n### {claim['id']}: {claim['verdict']}\n"
    yield f"> “{escaped(claim['quote'])}”\n>\n> {escaped(claim['place'])}\n"
    if claim["because"]:
        yield f"{escaped(claim['because'])}.\n"
    if claim["parts"]:
        yield f"```{{raw}} html\n{table_html(claim)}\n```\n"
    yield from (f"{escaped(line)}.\n" for line in margin_lines(claim))
    yield f"- **Files**: [the protocol]({files}/claims.toml), [the verdicts]({files}/claims.json)"
    for run, seeds in runs(claim).items():
        there = [f"[{seed}]({files}/{run.replace('{seed}', str(seed))}.md)" for seed in seeds]
        yield f"- **Records** `{run.replace('_seed{seed}', '')}`, seeds {', '.join(there) or 'none'}"
    for command in dict.fromkeys(part["command"] for part in claim["parts"]):
        yield f"- **Command**:\n  ```bash\n  {command}\n  ```"


def runs(claim: dict) -> dict[str, list[int]]:
    """The seeds that are recorded of each run of a claim."""
    found: dict[str, list[int]] = {}
    for part in claim["parts"]:
        for run, key in zip(part["runs"], ("first", "second"), strict=True):
            found[run] = [seed for seed, value in zip(part["seeds"], part[key], strict=True) if value is not None]
    return found


def label(slug: str, id: str) -> str:
    """``claim-attribute-vae-a1a``."""
    return f"claim-{slug.replace('_', '-')}-{id.lower()}"


def escaped(text: str) -> str:
    """A text of a protocol as Markdown shows it: nothing in it is markup."""
    return re.sub(r"([\\`*_{}\[\]<>|$~^#])", r"\\\1", " ".join(text.split()))
