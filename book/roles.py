"""MyST in the cells of a notebook, as Jupyter and Colab can show it; and back again.

Jupyter knows no roles, labels and directives. A role becomes a link to the published page, which carries the role in
its title; a label, an invisible comment; an admonition, a block quote; a dropdown, a fold of HTML; the number of an
equation, a tag. :func:`readable` and :func:`written` are inverse to each other, so that a notebook that was edited in
Jupyter can be taken over into its source.
"""

import re
from pathlib import Path

from common import BuildError
from nbformat import NotebookNode, v4
from targets import NoTarget, Targets

ROLES = ("eq", "ref", "numref", "term", "doc", "cite:p", "cite:t", "py:func", "py:class", "py:mod", "py:meth")
CAPTION = "caption"  # the tag of a cell that shows the caption of the figure before it
FENCE = r"^(?P<fence>```+|~~~+).*?^(?P=fence)$"
# A span of code may hold what looks like a role: it stays. A role begins before its backtick, so it is found first.
ROLE = re.compile(
    rf"(?P<code>{FENCE}|(?<!`)(?P<ticks>`+)(?!`)[^\n]+?(?<!`)(?P=ticks)(?!`))"
    r"|\{(?P<role>[a-z]+(?::[a-z]+)*)\}`(?P<content>[^`]+)`",
    re.M | re.S,
)
OWN_TEXT = re.compile(r"(?P<text>.+?)\s*<(?P<name>[^<>]+)>", re.S)
LINK = (
    r"\[(?P<text>(?:[^\[\]]|\[[^\[\]]*\])*)\]\(https://[^\s)]+ "
    rf'"(?P<role>{"|".join(ROLES)}) (?P<content>(?:[^"\\]|\\.)*)"\)'
)
UNNAMED = re.sub(r"\?P<\w+>", "?:", LINK)
CITED = re.compile(rf"\((?P<works>{UNNAMED}(?:, {UNNAMED})*)\)", re.S)
LABEL = re.compile(r"^\(([\w-]+)\)=$", re.M)
COMMENTED = re.compile(r"^<!-- \(([\w-]+)\)= -->$", re.M)
DIRECTIVE = re.compile(
    r"^:::\{(?P<name>[\w-]+)\}[ ]?(?P<title>[^\n]*)\n(?P<options>(?::[\w-]+:[^\n]*\n)*)(?P<body>.*?)\n:::$", re.M | re.S
)
QUOTED = re.compile(
    r"^<!-- admonition(?P<options>(?: :[\w-]+:[^\n;]*;)*) -->\n> \*\*(?P<title>.+)\*\*\n>\n(?P<body>(?:>.*(?:\n|\Z))+)",
    re.M,
)
FOLDED = re.compile(r"^<details>\n<summary>(?P<title>[^\n]+)</summary>\n\n(?P<body>.*?)\n\n</details>$", re.M | re.S)
DISPLAYED = re.compile(r"\$\$(?P<body>.+?)(?P<space>\s*)\$\$(?: \((?P<label>eq-[\w-]+)\))?", re.S)
TAGGED = re.compile(r" \\tag\{(\d+)\}$")


class Translation:
    """Between the Markdown of one notebook's source and what readers of the notebook see.

    Args:
        source: the percent notebook.
        targets: what its roles can lead to.
    """

    def __init__(self, source: Path, targets: Targets) -> None:
        self.name, self.targets = source.name, targets
        self.doc = f"notebooks/{source.stem}"
        self.slug = re.sub(r"^\d+_", "", source.stem).replace("_", "-")

    # ------------------------------------------------------------------------------------------------ for readers

    def readable(self, text: str) -> str:
        """The text of a cell as Jupyter and Colab can show it.

        Raises:
            BuildError: a role leads nowhere, or something has no form that they can show; the message names it.
        """
        text = DISPLAYED.sub(self._tagged, text)
        text = ROLE.sub(self._linked, text)
        text = DIRECTIVE.sub(self._quoted, text)
        return LABEL.sub(r"<!-- (\1)= -->", text)

    def _linked(self, match: re.Match) -> str:
        if match["code"]:
            return match[0]
        role, content = match["role"], match["content"]
        if role not in ROLES:
            raise BuildError(f"{self.name}: {match[0]} has no form in Jupyter; there are {', '.join(ROLES)}")
        if role == "cite:p":
            return f"({', '.join(self._link(role, key, match[0]) for key in content.split(','))})"
        return self._link(role, content, match[0])

    def _link(self, role: str, content: str, whole: str) -> str:
        """One link. ``whole``: the role as it stands in the source."""
        own = OWN_TEXT.fullmatch(content)
        name = own["name"] if own else content
        try:
            target = self.targets.find(role, name, self.doc)
        except NoTarget:
            raise BuildError(f"{self.name}: {whole} leads to {name}, which the book does not have") from None
        words = own["text"] if own else target.words
        if not words:
            raise BuildError(f"{self.name}: {whole} needs a text of its own, since no title follows the label {name}")
        if role.startswith("py:"):
            words = f"`{words}`"
        title = content.replace("\\", "\\\\").replace('"', '\\"')
        return f'[{words}]({self.targets.address}/{target.place} "{role} {title}")'

    def _quoted(self, match: re.Match) -> str:
        title, body = match["title"], match["body"]
        if match["name"] == "dropdown" and not match["options"]:
            return f"<details>\n<summary>{title}</summary>\n\n{body}\n\n</details>"
        if match["name"] != "admonition":
            raise BuildError(
                f"{self.name}: :::{{{match['name']}}} {title} has no form in Jupyter; "
                "there are admonition, and dropdown without options"
            )
        options = "".join(f" {line};" for line in match["options"].splitlines())
        lines = "".join(f"> {line}".rstrip() + "\n" for line in body.splitlines())
        return f"<!-- admonition{options} -->\n> **{title}**\n>\n{lines}".rstrip("\n")

    def _tagged(self, match: re.Match) -> str:
        if not (label := match["label"]):
            return match[0]
        number = label.rpartition("-")[2]
        if label != f"eq-{self.slug}-{number}":
            raise BuildError(f"{self.name}: the equation {label} is to be called eq-{self.slug}-N")
        return f"$${match['body']} \\tag{{{number}}}{match['space']}$$"

    # ------------------------------------------------------------------------------------------------ for the source

    def written(self, text: str) -> str:
        """The text of a cell as the source has it.

        Raises:
            BuildError: the text of a link was changed that its role does not let choose; the message names it.
        """
        text = COMMENTED.sub(r"(\1)=", text)
        text = FOLDED.sub(lambda m: f":::{{dropdown}} {m['title']}\n{m['body']}\n:::", text)
        text = QUOTED.sub(_unquoted, text)
        text = CITED.sub(self._cited, text)
        text = re.sub(LINK, self._role, text, flags=re.S)
        return DISPLAYED.sub(self._labelled, text)

    def _cited(self, match: re.Match) -> str:
        links = list(re.finditer(LINK, match["works"], re.S))
        if any(link["role"] != "cite:p" for link in links):
            return match[0]
        keys = [re.fullmatch(r"\{cite:p\}`(.+)`", self._role(link), re.S)[1] for link in links]
        return f"{{cite:p}}`{','.join(keys)}`"

    def _role(self, link: re.Match) -> str:
        """The role that a link came from; where its text was changed, with that text."""
        role, text = link["role"], link["text"]
        content = re.sub(r"\\(.)", r"\1", link["content"])
        own = OWN_TEXT.fullmatch(content)
        name = own["name"] if own else content
        if role in ("eq", "numref"):  # other chapters may move a number: it says nothing of an edit
            expected, text = re.sub(r"\d+", "", text), re.sub(r"\d+", "", text)
            expected = {"eq": "()", "numref": "Fig. "}[role] if not own else own["text"]
        else:
            text = text.removeprefix("`").removesuffix("`") if role.startswith("py:") else text
            expected = own["text"] if own else self._words(role, name, text)
        if text == expected:
            return f"{{{role}}}`{content}`"
        if role in ("eq", "numref") or role.startswith("cite:"):
            raise BuildError(
                f"{self.name}: the link [{link['text']}] was made from {{{role}}}`{content}`, which has no other text: "
                "restore it, or write a link of your own without a title"
            )
        return f"{{{role}}}`{text} <{name}>`"

    def _words(self, role: str, name: str, otherwise: str) -> str:
        try:
            return self.targets.find(role, name, self.doc).words
        except NoTarget:  # the source has lost it meanwhile, and `make pair` will say so
            return otherwise

    def _labelled(self, match: re.Match) -> str:
        tag = TAGGED.search(match["body"])
        if match["label"] or not tag:
            return match[0]
        body = match["body"][: tag.start()]
        return f"$${body}{match['space']}$$ (eq-{self.slug}-{tag[1]})"

    # ------------------------------------------------------------------------------------------------ captions

    def with_captions(self, cells: list[NotebookNode]) -> list[NotebookNode]:
        """A cell below each figure says its number and its caption, which Jupyter shows nowhere."""
        result = []
        for cell in cells:
            result.append(cell)
            if figure := cell.metadata.get("mystnb", {}).get("figure"):
                number = self._link("numref", figure["name"], f"the figure {figure['name']}")
                text = f"**{number}**: {self.readable(figure['caption'])}"
                result.append(v4.new_markdown_cell(text, metadata={"tags": [CAPTION]}))
        return result

    def without_captions(self, cells: list[NotebookNode]) -> list[NotebookNode]:
        """The cells alone. A caption that was changed goes back to its figure."""
        result: list[NotebookNode] = []
        for cell in cells:
            if CAPTION not in cell.metadata.get("tags", []):
                result.append(cell)
                continue
            figure = result[-1].metadata.get("mystnb", {}).get("figure") if result else None
            caption = re.fullmatch(rf"\*\*{UNNAMED}\*\*: (.+)", cell.source, re.S)
            if figure and caption:
                figure["caption"] = self.written(caption[1])
            elif figure:
                raise BuildError(f"{self.name}: the caption of {figure['name']} no longer begins with its number")
        return result


def _unquoted(match: re.Match) -> str:
    options = "".join(f"{option.strip()}\n" for option in match["options"].split(";") if option.strip())
    body = match["body"]
    lines = "".join(re.sub(r"^> ?", "", line) + "\n" for line in body.splitlines())
    end = "\n" if body.endswith("\n") else ""
    return f":::{{admonition}} {match['title']}\n{options}{lines}:::{end}"
