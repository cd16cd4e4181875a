"""The pages made from the sources: the table of equations, execution times, and what instructors know of exercises."""

import ast
import json
import re
from dataclasses import dataclass
from pathlib import Path

import exercises
import jupytext
import yaml
from common import BuildError, tree

LABEL = re.compile(r"\$\$\s*\((eq-[a-z0-9-]+)\)|^:label:\s*(eq-[a-z0-9-]+)", re.M)
FORMULA = re.compile(
    r"\$\$(?P<dollars>.+?)\$\$(?:\s*\((?P<label>eq-[a-z0-9-]+)\))?"
    r"|^```{math}\n:label:\s*(?P<named>eq-[a-z0-9-]+)\n(?P<fenced>.+?)^```",
    re.M | re.S,
)
REFERENCE = re.compile(r":eq:`(eq-[a-z0-9-]+)`")
# How the pages begin that a build writes, so that others can link to them before it has.
GENERATED = {
    "equations": "(equations)=\n# Equations\n",
    "execution_times": "(execution-times)=\n# Execution times\n",
    "claims": "(claims)=\n# Claims\n",
}
CLAIM = re.compile(r"Implements\s+((?::eq:`eq-[a-z0-9-]+`(?:,\s+|\s+and\s+)?)+)")


def toc_documents(root: Path) -> list[str]:
    """The documents of ``_toc.yml``, in reading order."""

    def walk(entry: dict) -> list[str]:
        names = [entry[k] for k in ("root", "file") if k in entry]
        return names + [n for k in ("parts", "chapters", "sections") for e in entry.get(k, []) for n in walk(e)]

    return walk(yaml.safe_load((root / "_toc.yml").read_text(encoding="utf-8")))


def toc_notebooks(root: Path) -> list[str]:
    """The documents of ``_toc.yml`` that are notebooks."""
    docs = [d for d in toc_documents(root) if d.startswith("notebooks/")]
    for doc in docs:
        if not (root / f"{doc}.py").is_file():
            raise BuildError(f"_toc.yml names {doc}, but there is no {doc}.py")
    return docs


def toc_chapters(root: Path) -> list[str]:
    """The notebooks of ``_toc.yml`` that are chapters: numbered, and no exercises."""
    return [d for d in toc_notebooks(root) if Path(d).name[0].isdigit() and not exercises.is_exercises(d)]


def slug(doc: str) -> str:
    """``notebooks/02_vae`` -> ``vae``; labels write it with hyphens."""
    return re.sub(r"^\d+_", "", Path(doc).name)


def named(docs: list[str], name: str) -> str:
    """The document called ``02_vae`` or ``vae``.

    Raises:
        BuildError: there is none; the message lists those there are.
    """
    for doc in docs:
        if name in (Path(doc).name, slug(doc)):
            return doc
    raise BuildError(f"{name}: there is no such notebook; there are {', '.join(map(slug, docs))}")


@dataclass
class Chapter:
    """What a notebook's source says about its equations."""

    doc: str
    title: str
    text: str
    labels: list[str]
    sections: dict[str, str]
    formulas: dict[str, str]
    tags: set[str]

    @classmethod
    def read(cls, root: Path, doc: str) -> "Chapter":
        cells = jupytext.read(root / f"{doc}.py").cells
        text = "\n\n".join(c.source for c in cells if c.cell_type == "markdown")
        title = re.search(r"^# (.+)$", text, re.M)
        labels, sections, section = [], {}, ""
        for line in re.finditer(rf"^##+ (?P<section>.+)$|{LABEL.pattern}", text, re.M):
            section = line["section"] or section
            if label := line[2] or line[3]:
                labels.append(label)
                sections[label] = section
        found = (match.groupdict() for match in FORMULA.finditer(text))
        formulas = {f["label"] or f["named"]: (f["dollars"] or f["fenced"]).strip() for f in found}
        tags = {t for c in cells if c.cell_type == "code" for t in c.metadata.get("tags", [])}
        return cls(doc, title.group(1) if title else doc, text, labels, sections, formulas, tags)


def implementations(root: Path) -> dict[str, list[str]]:
    """The functions, classes and methods whose docstring says ``Implements :eq:`LABEL```, by label, by public name."""
    found: dict[str, list[str]] = {}

    def visit(node: ast.AST, name: str) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef | ast.ClassDef):
                for claim in CLAIM.findall(ast.get_docstring(child) or ""):
                    for label in REFERENCE.findall(claim):
                        found.setdefault(label, []).append(f"{name}.{child.name}")
                visit(child, f"{name}.{child.name}")

    for path in tree(root, "medlatent"):
        if path.suffix == ".py":
            visit(ast.parse(path.read_text(encoding="utf-8")), public_module(root, path))
    return found


def public_module(root: Path, path: Path) -> str:
    """The module under which readers import what this file defines: its package where that re-exports the file."""
    package = path.parent / "__init__.py"
    parts = path.relative_to(root).with_suffix("").parts
    if path.name == "__init__.py":
        return ".".join(parts[:-1])
    for node in ast.walk(ast.parse(package.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[-1] == parts[-1] and len(parts) > 2:
            return ".".join(parts[:-1])
    return ".".join(parts)


def check_equations(chapters: list[Chapter], claims: dict[str, list[str]]) -> list[str]:
    """What does not hold together between the chapters' equations, their check cells and the package; empty if all."""
    problems, known = [], {label: c for c in chapters for label in c.labels}
    for chapter in chapters:
        name = slug(chapter.doc).replace("_", "-")
        for number, label in enumerate(chapter.labels, start=1):
            if label != f"eq-{name}-{number}":
                problems.append(f"{chapter.doc}: equation {number} is labelled {label}, not eq-{name}-{number}")
            if f"check-{label[3:]}" not in chapter.tags:
                problems.append(f"{chapter.doc}: no cell is tagged check-{label[3:]} to check equation {label}")
        for tag in sorted(t for t in chapter.tags if t.startswith("check-")):
            if f"eq-{tag[6:]}" not in chapter.labels:
                problems.append(f"{chapter.doc}: the cell tagged {tag} checks no equation of the chapter")
    for label, names in sorted(claims.items()):
        for name in names:
            if label not in known:
                problems.append(f"{name} says that it implements {label}, which no chapter has")
            elif not re.search(rf"\{{py:\w+\}}`[^`]*{re.escape(name)}[`>(]", known[label].text):
                problems.append(f"{known[label].doc} does not link back to {name}, which implements {label}")
    return problems


def equations_page(root: Path, docs: list[str]) -> str:
    """Every labelled equation as it stands in its chapter, with links to that place, its code and its check.

    Raises:
        BuildError: an equation, a check cell and the code do not fit together.
    """
    chapters, claims = [Chapter.read(root, doc) for doc in docs], implementations(root)
    if problems := check_equations(chapters, claims):
        raise BuildError("equations:\n" + "\n".join(f"  {p}" for p in problems))
    lines = [
        GENERATED["equations"],
        "Every numbered equation of the chapters. Its number leads to the place where the chapter derives it, or "
        "quotes it from a paper, and says what its symbols mean. Behind it stand the section, the code that implements "
        "it, and the cell that checks it with a number. An equation without code is a step on the way to one that has "
        "it.\n",
    ]
    for chapter in chapters:
        if chapter.labels:
            lines += [f"\n## {chapter.title}\n", f"{{doc}}`To the chapter </{chapter.doc}>`\n"]
        for label in chapter.labels:
            code = ", ".join(f"{{py:obj}}`{n.split('.', 2)[2]} <{n}>`" for n in claims.get(label, []))
            about = [f"{{eq}}`{label}` {chapter.sections[label]}", f"code: {code}" if code else ""]
            about.append(f"{{ref}}`the check <check-{label[3:]}>`")
            lines.append(f"\n{' · '.join(filter(None, about))}\n\n$$\n{chapter.formulas[label]}\n$$\n")
    return "\n".join(lines) + "\n"


def times_page(root: Path, docs: list[str]) -> str:
    """How long each notebook took when it last ran."""
    lines = [
        GENERATED["execution_times"],
        "How long each notebook took when this book last executed it, kernel start included. "
        "It is executed again only when it changes, or the code that it imports, its records or the requirements.\n",
        "| Notebook | Profile | Seconds | Machine | Executed |",
        "|:--|:--|--:|:--|:--|",
    ]
    for doc in docs:
        about = json.loads((root / f"_build/executed/{doc}.json").read_text(encoding="utf-8"))
        row = [
            f"{{doc}}`/{doc}`",
            f"`{about['profile']}`",
            f"{about['seconds']:.1f}",
            about["machine"],
            about["executed"],
        ]
        lines.append(f"| {' | '.join(row)} |")
    return "\n".join(lines) + "\n"


def exercises_page(root: Path) -> str:
    """For instructors: the exercises with their time and points, and the wrong answers that the checks know.

    Raises:
        BuildError: an exercise is incomplete.
    """
    lines, answers = ["| Notebook | Exercises | Minutes | Points | of these by hand |", "|:--|--:|--:|--:|--:|"], []
    for source in exercises.sources(root):
        _, found = exercises.read(source)
        minutes = sum(e.minutes for e in found)
        by_hand = sum(e.points_by_hand for e in found)
        page = f"{{doc}}`/notebooks/{source.stem}`"
        lines.append(f"| {page} | {len(found)} | {minutes} | {sum(e.points for e in found)} | {by_hand} |")
        answers.append(f"\n### {page}\n")
        for exercise in found:
            number = exercise.name.rpartition("-")[2]
            answers.append(f"\n{{ref}}`{number}. {exercise.title} <exercise-{exercise.name}>`\n")
            answers += [f"- {wrong.mistake}" for wrong in exercise.wrong]
    return "\n".join(lines + answers) + "\n"


def rubrics_page(root: Path) -> str:
    """For instructors: of each answer that a person grades, what its points are given for.

    Raises:
        BuildError: an exercise is incomplete.
    """
    lines = ["| Text | Points | For |", "|:--|--:|:--|"]
    for source in exercises.sources(root):
        for exercise in exercises.read(source)[1]:
            link = f"{{ref}}`{exercise.title} <exercise-{exercise.name}>`"
            for text in exercise.texts:
                for row, (points, reason) in enumerate(text.rubric):
                    lines.append(f"| {'' if row else link} | {points:g} | {reason.replace('|', chr(92) + '|')} |")
    return "\n".join(lines) + "\n"
