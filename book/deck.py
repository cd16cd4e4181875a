"""Derives the slides of a chapter from its executed notebook, by rule.

Shown is what a room can read: headings, displayed equations with their numbers, key sentences (in bold in the chapter),
lists, figures with their captions, tables, verdicts, the code of a loss, the questions of the quiz. The prose goes to
the notes of the speaker.
"""

import base64
import copy
import hashlib
import json
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import nbformat
import objectives
from bs4 import BeautifulSoup, Tag
from execute import alt_text
from generate import slug
from markdown_it import MarkdownIt
from markdown_it.token import Token
from mdit_py_plugins.colon_fence import colon_fence_plugin
from mdit_py_plugins.dollarmath import dollarmath_plugin
from nbformat import NotebookNode
from roles import DIRECTIVE, LABEL, ROLE, ROLES, Translation
from targets import Targets
from widgets import VIEW

OBJECTIVES = "What you will be able to do"
PRINTS = "The cell prints:"
HIDDEN = {"remove-cell", "remove-output", "hide-cell", "hide-output"}

# Sizes are those of a slide in pixels, estimated: what is still too large is made smaller by deck.js.
HEIGHT, WIDTH, LINE, CODE_LINE, ROW = 570, 1180, 36, 25, 36
CODE_LINES, TABLE_ROWS, CLAIM_LINES = 27, 13, 10  # of a slide; longer functions and tables are cut
TOPICS = 4  # sentences that stand for a section which shows nothing else


@dataclass
class Piece:
    """A part of a slide, and what is said to it.

    Attributes:
        kind: ``prose`` (which shows nothing), ``item``, ``equation``, ``figure``, ``table``, ``code``,
            ``quote``; ``lead`` stands before the next of these, ``topic`` becomes an item where there is room.
        shown: Markdown for the slide.
        notes: Markdown for the speaker.
        height: estimated, in pixels.
        alone: whether it has a slide of its own.
        pictures: attachments by name, PNG in base64.
    """

    kind: str
    shown: str = ""
    notes: str = ""
    height: float = 0
    alone: bool = False
    pictures: dict[str, str] = field(default_factory=dict)


@dataclass
class Group:
    """What stands between two headings."""

    headings: list[str]
    pieces: list[Piece] = field(default_factory=list)


# ------------------------------------------------------------------------------------------------------- sentences

# A stop inside one of these ends no sentence.
WHOLE = re.compile(rf"\$[^$]+\$|{ROLE.pattern}", re.M | re.S)
STOP = re.compile(r"(?<!\bal\.)(?<!\be\.g\.)(?<!\bi\.e\.)(?<!\bFig\.)(?<=[.!?:])(\*\*|[”\")*]*)\s+(?=[A-Z“\"*\[(\x00])")
VERDICT = re.compile(r"\*\*[A-Z]\d+\w*: ")  # a table of its own shows them
BOLD = re.compile(r"\*\*(?P<words>.+?)\*\*(?P<stop>[.:]?)", re.S)


class Masked:
    """A text whose formulas, roles and code are replaced by marks without stops and blanks."""

    def __init__(self, text: str) -> None:
        self.kept: list[str] = []
        self.text = WHOLE.sub(self._keep, " ".join(text.split()))

    def _keep(self, match: re.Match) -> str:
        self.kept.append(match[0])
        return f"\x00{len(self.kept) - 1}\x00"

    def restore(self, text: str) -> str:
        """A piece of the text with what was replaced in it."""
        return re.sub(r"\x00(\d+)\x00", lambda m: self.kept[int(m[1])], text)


def sentences(text: str) -> list[str]:
    """The sentences of a paragraph, in one line each."""
    masked = Masked(text)
    found, start = [], 0
    for stop in STOP.finditer(masked.text):
        if masked.text[stop.start() - 1] == ":":
            continue
        part = masked.text[start : stop.end(1)]
        if part.count("**") % 2:  # inside bold words
            continue
        found.append(masked.restore(part))
        start = stop.end()
    return [*found, *([masked.restore(masked.text[start:])] if masked.text[start:] else [])]


def is_label(sentence: str) -> bool:
    """Whether it is a bold word or three before a sentence, as ``**Gaussian.**``, which say nothing alone."""
    match = BOLD.fullmatch(sentence)
    return bool(match) and len(match["words"].split()) < 4


def key_sentences(text: str) -> list[str]:
    """The sentences of a paragraph that are bold, and those that follow a bold label."""
    parts, found = sentences(text), []
    for index, part in enumerate(parts):
        match = BOLD.match(part)
        if not match or VERDICT.match(part) or (match["words"][-1] not in ".!?" and match.end() < len(part)):
            continue
        following = parts[index + 1 : index + 2] if is_label(part) else []
        found.append(" ".join([part, *following]))
    return found


def visible_length(text: str) -> float:
    """The characters of a Markdown text that a reader sees, about."""
    text = re.sub(r"\]\([^)]*\)", "", text)
    text = re.sub(r"\$([^$]+)\$", lambda m: re.sub(r"\\[a-zA-Z]+|[{}^_]", "x", m[1]), text)
    return len(re.sub(r"[*`\[]", "", text))


def lines_of(text: str, width: float = 92) -> int:
    """The lines that a text takes at the size of the slides."""
    return max(1, -(-int(visible_length(text)) // int(width)))


# --------------------------------------------------------------------------------------------------- from a notebook

MARKDOWN = MarkdownIt("commonmark").enable("table").use(dollarmath_plugin, allow_labels=True).use(colon_fence_plugin)


def blocks(text: str) -> Iterator[tuple[str, str, Token]]:
    """The topmost blocks of a Markdown text: what each is, its source, and its token."""
    lines = text.splitlines()
    for token in MARKDOWN.parse(text):
        if token.level == 0 and token.map and token.nesting >= 0:
            yield token.type.removesuffix("_open"), "\n".join(lines[slice(*token.map)]).strip(), token


class Chapter:
    """Reads an executed notebook into groups of pieces.

    Args:
        root: the folder of the book.
        doc: ``notebooks/02_vae``.
        notebook: the executed one.
        targets: what roles lead to; by default read from the sources.

    Raises:
        BuildError: a role leads nowhere.
    """

    def __init__(self, root: Path, doc: str, notebook: NotebookNode, targets: Targets | None = None) -> None:
        self.root, self.doc, self.source = root, doc, root / f"{doc}.py"
        targets = targets or Targets(root, self.source)
        self.page = f"{targets.address}/{doc}.html"
        self.instructors = f"{targets.address}/book/instructors.html#slides"
        self.translation = Translation(self.source, targets)
        self.title, self.about = slug(doc), ""
        self.groups: list[Group] = [Group([])]
        for cell in notebook.cells:
            if cell.cell_type == "markdown":
                self._prose(cell.source)
            elif not HIDDEN & set(cell.metadata.get("tags", [])):
                self._outputs(cell)

    def readable(self, text: str) -> str:
        """Markdown without MyST; links to the page say nothing of the roles that they were made from."""
        text = self.translation.readable(text)
        return re.sub(rf'(\]\(https://[^\s)]+) "(?:{"|".join(ROLES)}) (?:[^"\\]|\\.)*"\)', r"\1)", text)

    def _add(self, kind: str, shown: str = "", notes: str = "", height: float = 0, **more: object) -> None:
        self.groups[-1].pieces.append(Piece(kind, shown, notes, height, **more))

    # ------------------------------------------------------------------------------------------------------- prose

    def _prose(self, text: str) -> None:
        found = list(blocks(LABEL.sub("", text)))
        for index, (kind, source, token) in enumerate(found):
            after = found[index + 1][0] if index + 1 < len(found) else ""
            if kind == "heading":
                self._heading(source.lstrip("# "), len(token.markup))
            elif kind == "paragraph":
                follows = index > 0 and found[index - 1][0].startswith("math_block")
                self._paragraph(source, before_equation=after.startswith("math_block"), follows=follows)
            elif kind.startswith("math_block"):
                self._equation(source)
            elif kind in ("bullet_list", "ordered_list"):
                self._list(source)
            elif kind == "colon_fence":
                self._directive(source)
            elif kind == "table":
                self._written_table(self.readable(source))
            elif kind == "fence":
                self._code(source)
            else:
                self._add("prose", notes=self.readable(source))

    def _heading(self, text: str, level: int) -> None:
        text = self.readable(text)
        if level == 1:
            self.title = text
            return
        heading = f"{'#' * min(level, 3)} {text}"
        last = self.groups[-1]
        if not last.pieces and last.headings and level > 2:  # nothing stands below the section's own heading
            last.headings.append(heading)
        else:
            self.groups.append(Group([heading]))

    def _paragraph(self, source: str, before_equation: bool, follows: bool) -> None:
        said, rest = self.readable(source), source
        if follows and re.match(r"[a-z]|\$", source) and self.groups[-1].pieces[-1].kind == "equation":
            first, *others = sentences(source)  # "where …": the sentence of the formula goes on
            equation = self.groups[-1].pieces[-1]
            equation.shown += f"\n\n{self.readable(first)}"
            equation.height += LINE * lines_of(first)
            rest = " ".join(others)
        lead, parts = "", sentences(rest)
        if parts and (parts[-1].endswith(":") or (before_equation and not re.search(r"[.!?]\W*\Z", parts[-1]))):
            keep = -2 if len(parts) > 1 and is_label(parts[-2]) else -1
            lead, rest = " ".join(parts[keep:]), " ".join(parts[:keep])
        elif len(parts) == 1 and is_label(parts[0]):
            lead, rest = rest, ""
        keys = key_sentences(rest)
        for number, key in enumerate(keys):
            self._item(key, "" if number else said)
        if not keys:
            self._add("prose", notes=said)
        if lead:
            self._add("lead", self.readable(lead), height=LINE * lines_of(lead))

    def _item(self, text: str, notes: str = "", mark: str = "-") -> None:
        text = self.readable(text)
        self._add("item", f"{mark} {text}", notes, LINE * lines_of(text, 88) + 8)

    def _equation(self, source: str) -> None:
        shown = self.readable(source)
        rows = 1 + len(re.findall(r"\\\\", source))
        tall = re.search(r"\\(frac|sum|int|prod|underbrace|begin\{cases|sqrt)", source)
        height = rows * (66 if tall else 44) + 24
        number = re.search(r"\\tag\{(\d+)\}", shown)
        notes = f"*Equation ({number[1]}).*" if number else "*The formula on the slide.*"
        self._add("equation", shown, notes, height)

    def _list(self, source: str) -> None:
        items = re.split(r"^(?=(?:[-*]|\d+\.)\s)", source, flags=re.M)
        shortened = False
        shown = []
        for item in filter(str.strip, items):
            mark, _, text = item.strip().partition(" ")
            parts = sentences(text)
            brief = text if visible_length(text) <= 150 else " ".join(parts[: 2 if is_label(parts[0]) else 1])
            shortened |= brief != text
            shown.append((mark, brief))
        for number, (mark, brief) in enumerate(shown):
            self._item(brief, self.readable(source) if shortened and not number else "", mark)

    def _written_table(self, source: str) -> None:
        """A table of Markdown, in parts that a slide can hold."""
        head, rows = source.splitlines()[:2], source.splitlines()[2:]
        width = 92 / max(1, head[0].count("|") - 1)  # of a column, in characters
        parts: list[list[str]] = [[]]
        for row in rows:
            if self._rows([*parts[-1], row], width) > TABLE_ROWS:
                parts.append([])
            parts[-1].append(row)
        for part in filter(None, parts):
            self._add("table", "\n".join([*head, *part]), height=ROW * (1 + self._rows(part, width)))

    @staticmethod
    def _rows(rows: list[str], width: float) -> int:
        """The lines that rows of Markdown take, as their cells are wrapped."""
        return sum(max(lines_of(cell, width) for cell in row.strip("|").split("|")) for row in rows)

    def _directive(self, source: str) -> None:
        match = DIRECTIVE.fullmatch(source)
        title, body = match["title"], match["body"]
        if title == OBJECTIVES:
            self.about = self.readable("\n\n".join(s for kind, s, _ in blocks(body) if kind == "paragraph"))
        elif match["name"] == "admonition":
            height = LINE * (2 + sum(lines_of(s, 84) for _, s, _ in blocks(body))) + 30
            self._add("quote", re.sub(r"\A<!-- .* -->\n", "", self.readable(source)), height=height)
        else:  # a dropdown, which holds an answer
            self._add("prose", notes=f"**{title}**\n\n{self.readable(body)}")

    # ----------------------------------------------------------------------------------------------------- outputs

    def _outputs(self, cell: NotebookNode) -> None:
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if output.output_type == "stream":
                self._add("prose", notes=f"{PRINTS}\n\n```text\n{output.text.strip()}\n```")
            elif "image/png" in data:
                self._figure(cell, output)
            elif questions := quiz(data.get("application/javascript", "")):
                self._quiz(questions)
            elif "text/markdown" in data:
                self._code(data["text/markdown"])
            elif "claims" in data.get("text/html", "")[:40]:
                self._claims(data["text/html"])
            elif "<table" in data.get("text/html", ""):
                table = BeautifulSoup(data["text/html"], "html.parser").table
                self._table(table)

    def _figure(self, cell: NotebookNode, output: NotebookNode) -> None:
        figure = cell.metadata.get("mystnb", {}).get("figure")
        caption = ""
        if figure:
            caption = self.readable(self.translation.with_captions([cell])[1].source)
            caption = re.sub(r' "numref [^"]*"\)', ")", caption)
        elif VIEW in output.data:
            caption = f"With sliders on [the page of the chapter]({self.page})"
        name = f"{figure['name'] if figure else f'picture-{len(self.groups)}-{len(self.groups[-1].pieces)}'}.png"
        alt = literal(re.sub(r"[\[\]]", "", alt_text(cell, output)))
        width, height = png_size(output.data["image/png"])
        tall = min(WIDTH * height / width, HEIGHT) * 0.75 + 28 * lines_of(caption, 110)
        shown = f"![{alt}](attachment:{name})\n\n{caption}".strip()
        self._add("figure", shown, height=max(tall, 330), pictures={name: "".join(output.data["image/png"].split())})

    def _table(self, table: Tag) -> None:
        for part in table_pieces(table):
            self._add("table", plain_table(part), height=ROW * sum(map(row_lines, part.find_all("tr"))) + 10)

    def _code(self, fence: str) -> None:
        match = re.fullmatch(r"```(\w*)\n(.*?)\n?```", fence.strip(), re.S)
        if not match:
            self._add("prose", notes=fence)
            return
        for part in code_pieces(match[2]):
            self._add("code", f"```{match[1]}\n{part}\n```", height=CODE_LINE * len(part.splitlines()) + 24)

    def _claims(self, text: str) -> None:
        """A table of all verdicts; then of each claim its parts, without the columns that only a reader needs."""
        soup = BeautifulSoup(text, "html.parser").div
        regime = "\n".join(f"- {li.get_text()}" for li in soup.ul.find_all("li"))
        claims = [p for p in soup.find_all("p", recursive=False) if p.strong]
        rows = []
        for claim in claims:
            name, _, verdict = claim.strong.get_text().partition(": ")
            said = re.search(r"“.*”", claim.get_text())
            rows.append(f"| {name} | **{verdict}** | {literal(said[0]) if said else ''} |")
        table = "\n".join(["| Claim | Verdict | The paper's words |", "|:--|:--|:--|", *rows])
        height = ROW * (1 + sum(lines_of(row, 75) for row in rows))
        self._add("table", table, f"How it was judged:\n\n{regime}", height, alone=True)
        for claim in claims:
            following = claim.find_next_sibling(["p", "table"])
            if following is None or following.name != "table":
                continue
            for row in following.find_all("tr"):
                for cell in row.find_all(["th", "td"])[6:]:
                    cell.decompose()
            said = re.search(r"“.*", claim.get_text())
            words = f"**{claim.strong.get_text()}**. {literal(said[0]) if said else ''}"
            for part in table_pieces(following, CLAIM_LINES):
                self._add("table", f"{words}\n\n{plain_table(part)}", height=HEIGHT, alone=True)

    def _quiz(self, questions: list[dict]) -> None:
        """A slide for each question, with what can be chosen; what is right, and why, is in the notes."""
        for question in questions:
            # The sources have the right answer first, and the page mixes them.
            choices = sorted((a for a in question["answers"] if "answer" in a), key=lambda a: fingerprint(a["answer"]))
            shown = [question["question"], "", *(f"{n}. {a['answer']}" for n, a in enumerate(choices, 1))]
            said = []
            for number, answer in enumerate(choices or question["answers"], 1):
                value = answer.get("value", answer.get("range", "otherwise"))
                place = f"{number}." if choices else f"{value}:"
                right = "**right.** " if answer.get("correct") else ""
                said.append(f"- {place} {right}{answer.get('feedback', '')}".rstrip())
            self._add("quote", "\n".join(shown).strip(), "\n".join(said), HEIGHT, alone=True)


def literal(text: str) -> str:
    """Words as they are, for Markdown."""
    return re.sub(r"([\\`*_|<&$])", r"\\\1", text)


def fingerprint(text: str) -> str:
    """A short digest."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def png_size(data: str) -> tuple[int, int]:
    """Width and height of a PNG in base64, which stand at its beginning."""
    head = base64.b64decode("".join(data[:64].split())[:48])
    return int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big")


def row_lines(row: Tag) -> int:
    """The lines that a row takes; columns of words get more room than those of numbers."""
    cells = row.find_all(["th", "td"])
    return max((lines_of(cell.get_text(" ", strip=True), 150 / len(cells)) for cell in cells), default=1)


def table_pieces(table: Tag, most: int = TABLE_ROWS) -> list[Tag]:
    """A table in parts that a slide can hold, each below its head; rows that share a cell stay together.

    Args:
        table: whole; it is left as it is.
        most: the lines of a part.
    """
    groups: list[list[Tag]] = []
    left = 0
    for row in table.tbody.find_all("tr") if table.tbody else []:
        if left <= 0:
            groups.append([])
            left = max([int(cell.get("rowspan", 1)) for cell in row.find_all(["th", "td"])], default=1)
        groups[-1].append(row)
        left -= 1
    parts: list[list[Tag]] = [[]]
    for group in groups:
        if parts[-1] and sum(map(row_lines, [*parts[-1], *group])) > most:
            parts.append([])
        parts[-1] += group
    if len(parts) == 1:
        return [table]
    found = []
    for part in parts:
        piece = copy.copy(table)
        piece.tbody.clear()
        piece.tbody.extend([copy.copy(row) for row in part])
        found.append(piece)
    return found


def plain_table(table: Tag) -> str:
    """A table of HTML without what styles it, in one paragraph, so that it may stand in Markdown."""
    cells = [cell for cell in table.find_all("td") if cell.get_text(strip=True)]
    numbers = sum(bool(re.match(r"[-−+±]?[\d.]", cell.get_text(strip=True))) for cell in cells)
    for tag in table.find_all(True):
        tag.attrs = {name: value for name, value in tag.attrs.items() if name in ("colspan", "rowspan")}
    table.attrs = {"class": "numbers"} if 2 * numbers > len(cells) else {}
    rows = [re.sub(r"\s*\n\s*", "", str(row)).replace("$", "&#36;") for row in table.find_all("tr")]
    attributes = "".join(f' {name}="{value}"' for name, value in table.attrs.items())
    return "\n".join([f"<table{attributes}>", *rows, "</table>"])


def code_pieces(code: str) -> list[str]:
    """Code in parts that a slide can hold: whole functions where they fit, otherwise cut at their outermost lines."""
    parts: list[str] = []
    for function in re.split(r"\n{2,}(?=\S)", code.strip("\n")):
        if parts and len(parts[-1].splitlines()) + len(function.splitlines()) + 1 <= CODE_LINES:
            parts[-1] += f"\n\n{function}"
            continue
        lines = function.splitlines()
        while len(lines) > CODE_LINES:
            indents = [len(line) - len(line.lstrip()) if line.strip() else 0 for line in lines]
            cuts = range(CODE_LINES // 2, CODE_LINES + 1)
            cut = min(cuts, key=lambda n: (indents[n], -n))
            parts.append("\n".join(lines[:cut]).rstrip())
            lines = lines[cut:]
        parts.append("\n".join(lines).strip("\n"))
    return parts


def quiz(script: str) -> list[dict]:
    """The questions that jupyterquiz has written into its script; none in another one."""
    match = re.search(r"var questions\w+=(?=\[)", script)
    return json.JSONDecoder().raw_decode(script[match.end() :])[0] if match else []


# ------------------------------------------------------------------------------------------------------------ slides


@dataclass
class Slide:
    """A cell with what is shown, and one with what is said."""

    kind: str
    shown: str
    notes: str = ""
    pictures: dict[str, str] = field(default_factory=dict)

    def cells(self) -> list[NotebookNode]:
        """Without ids: those of a deck follow from the places of its cells."""
        cell = nbformat.v4.new_markdown_cell(self.shown, metadata={"slideshow": {"slide_type": self.kind}})
        if self.pictures:
            cell.attachments = {name: {"image/png": data} for name, data in self.pictures.items()}
        notes = nbformat.v4.new_markdown_cell(self.notes, metadata={"slideshow": {"slide_type": "notes"}})
        return [cell, *([notes] if self.notes else [])]


def with_leads(pieces: list[Piece]) -> list[Piece]:
    """The pieces with what leads to a formula, a list, a table or a figure before it on its slide."""
    found: list[Piece] = []
    lead: Piece | None = None
    for piece in pieces:
        if piece.kind == "lead":
            lead = piece
            continue
        if lead and piece.shown:
            piece.shown = f"{lead.shown}\n\n{piece.shown}"
            piece.height += lead.height
            lead = None
        found.append(piece)
    return found


def laid_out(group: Group, new_section: bool) -> list[Slide]:
    """The slides of a group: its pieces in their order, as many on each as fit.

    Args:
        group: what stands between two headings.
        new_section: whether it begins one; otherwise its slides lie below those before it.
    """
    pieces = with_leads(group.pieces)
    if all(piece.kind in ("prose", "figure") for piece in pieces):
        # Nothing says in words what the section is about: the first sentences of its paragraphs do.
        topics = [(p, sentences(p.notes)[0]) for p in pieces if p.kind == "prose" and p.notes[:1] not in ("", "*")]
        topics = [(p, said) for p, said in topics if not said.startswith(PRINTS) and visible_length(said) > 40]
        for piece, said in topics[:TOPICS]:
            piece.kind, piece.shown, piece.height = "topic", f"- {said}", LINE * lines_of(said, 88) + 8
    found: list[list[Piece]] = [[]]
    used = 0.0
    for piece in pieces:
        there = [p for p in found[-1] if p.shown]
        full = used + piece.height > HEIGHT - 50 * (len(group.headings) - 1)
        if piece.kind == "topic":  # not worth a slide of its own
            piece.kind, piece.shown = ("prose", "") if full and there else ("item", piece.shown)
            piece.height = piece.height if piece.shown else 0
        if piece.shown and there and (full or piece.alone or there[-1].alone):
            # The paragraph before a figure leads to it.
            last = found[-1][-1]
            found.append([found[-1].pop()] if last.kind == "prose" and not last.notes.startswith(PRINTS) else [])
            used = 0.0
        found[-1].append(piece)
        used += piece.height
    slides = []
    for number, parts in enumerate(found):
        heading = "\n\n".join(group.headings if number == 0 else group.headings[-1:])
        shown, before = [heading], ""
        for piece in (p for p in parts if p.shown):
            mark = re.match(r"(?:-|\d+\.) ", piece.shown) if piece.kind == "item" else None
            shown += ["\n" if mark and before == "item" else "\n\n", piece.shown]
            before = piece.kind
        notes = "\n\n".join(piece.notes for piece in parts if piece.notes)
        pictures = {name: data for piece in parts for name, data in piece.pictures.items()}
        slides.append(Slide("slide" if new_section and number == 0 else "subslide", "".join(shown), notes, pictures))
    return slides


def digest(cells: list[NotebookNode]) -> str:
    """By which a derived deck knows whether its cells are still those that were derived."""
    parts = [
        (cell.cell_type, cell.source, cell.metadata.get("slideshow", {}).get("slide_type", ""), cell.get("attachments"))
        for cell in cells
    ]
    return fingerprint(json.dumps(parts, sort_keys=True))


def paper(root: Path, chapter: Chapter, name: str) -> str:
    """The question of the paper that a chapter is about, and the paper; empty for a chapter on none."""
    source = root / "book/papers.toml"
    known = tomllib.loads(source.read_text(encoding="utf-8"))["papers"] if source.is_file() else []
    about = next((entry for entry in known if entry["slug"] == name), None)
    if not about:
        return ""
    from sphinxcontrib.bibtex.bibfile import parse_bibdata

    title = parse_bibdata([root / "book/references.bib"], "utf-8").data.entries[about["cite"]].fields["title"]
    cited = chapter.readable(f"{{cite:t}}`{about['cite']}`")
    return f"{about['question']}\n\n{cited}: *{re.sub('[{}]', '', title)}*"


def deck(root: Path, doc: str, notebook: NotebookNode, targets: Targets | None = None) -> NotebookNode:
    """The slides of a chapter; arguments and errors are those of :class:`Chapter`."""
    chapter = Chapter(root, doc, notebook, targets)
    title = [f"# {chapter.title}", paper(root, chapter, slug(doc)), f"The chapter: <{chapter.page}>"]
    title.append(f"The medlatent contributors. [What may be reused]({chapter.instructors})")
    slides = [Slide("slide", "\n\n".join(filter(None, title)), chapter.about)]
    if there := objectives.read(chapter.source):
        items = "\n".join(f"- {chapter.readable(item)}" for item in there)
        slides.append(Slide("slide", f"## {OBJECTIVES}\n\n{items}"))
    for group in chapter.groups:
        if group.pieces and group.headings:
            slides += laid_out(group, group.headings[0].startswith("## "))
    cells = [cell for slide in slides for cell in slide.cells()]
    for number, cell in enumerate(cells):
        cell.id = f"cell-{number}"
    kernel = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
    about = {"deck": doc, "cells": digest(cells)}
    metadata = {"kernelspec": kernel, "title": chapter.title, "medlatent": about}
    result = nbformat.v4.new_notebook(cells=cells, metadata=metadata)
    nbformat.validate(result)
    return result
