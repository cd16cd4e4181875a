"""What readers see in Jupyter and Colab: no MyST, links that lead somewhere, and a way back into the source."""

import html as entities
import json
import re
from itertools import pairwise
from pathlib import Path

import exercises
import jupytext
import nbformat
import pair
import pytest
from common import BuildError
from generate import toc_notebooks
from hypothesis import given, settings
from hypothesis import strategies as st
from roles import CAPTION, DISPLAYED, LINK, Translation
from targets import Targets

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = toc_notebooks(ROOT)
TARGETS = Targets(ROOT)
CODE = re.compile(r"^```.*?^```$|(?<!`)(`+)(?!`).+?(?<!`)\1(?!`)", re.M | re.S)
each = pytest.mark.parametrize("doc", NOTEBOOKS)


def translation(doc: str) -> Translation:
    return Translation(ROOT / f"{doc}.py", TARGETS)


def markdown(doc: str) -> list[str]:
    """The Markdown of a notebook's source."""
    return [cell.source for cell in jupytext.read(ROOT / f"{doc}.py").cells if cell.cell_type == "markdown"]


def links(doc: str) -> list[dict[str, str]]:
    """The links that were roles, in the derived notebook as it is in the repository's working tree."""
    cells = json.loads(pair.derive(ROOT / f"{doc}.py"))["cells"]
    texts = [cell["source"] for cell in cells if cell["cell_type"] == "markdown"]
    found = [match for text in texts for match in re.finditer(LINK, text, re.S)]
    return [match.groupdict() | {"url": re.search(r"\]\((\S+) ", match[0])[1]} for match in found]


@each
def test_no_myst_is_left(doc):
    for cell in json.loads(pair.derive(ROOT / f"{doc}.py"))["cells"]:
        if cell["cell_type"] == "markdown":
            text = CODE.sub("", re.sub(LINK, lambda m: m["text"], cell["source"], flags=re.S))
            for mark in (r"\{[a-z:]+\}`?", r"^:::", r"^\([\w-]+\)=", r"\$\$ \(eq-"):
                found = re.search(mark, re.sub(r"<!--.*?-->|\$\$.*?\$\$|\$[^$]*\$", "", text, flags=re.S), re.M)
                assert not found, found[0]


@each
def test_no_line_in_the_middle_of_a_sentence_begins_a_list(doc):
    """Where a paragraph was wrapped before "1. Purity" or "- 2", Markdown makes a list of the rest."""
    for text in markdown(doc):
        for before, line in pairwise(text.splitlines()):
            inside = re.search(r"[\w,;]$", before) and not re.match(r":|\s*([-+*]|\d+[.)]) |\s{2,}", before)
            assert not (inside and re.match(r"(1[.)]|[-+*]) ", line)), f"{before}\n{line}"


@each
def test_a_notebook_goes_there_and_back(doc):
    source = ROOT / f"{doc}.py"
    cells = nbformat.reads(pair.derive(source), as_version=4).cells
    notebook = jupytext.read(source)
    ours = exercises.student(notebook) if exercises.is_exercises(source) else notebook
    assert pair.text_of(pair.original(source, cells)) == pair.text_of(ours.cells)
    assert [c.metadata for c in pair.original(source, cells)] == [c.metadata for c in ours.cells]


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_paragraphs_in_any_order_go_there_and_back(data):
    doc = data.draw(st.sampled_from(NOTEBOOKS))
    blocks = [block for text in markdown(doc) for block in re.split(r"\n\n(?![^:]*\n:::$)", text)]
    blocks += ["$$\na + b\n$$", "`{eq}` is code", "Costs $5, or $6.", "A [link](https://example.org) of one's own."]
    text = "\n\n".join(data.draw(st.lists(st.sampled_from(blocks), min_size=1, max_size=8)))
    if text.count(":::{") * 2 == len(re.findall(r"^:::", text, re.M)):  # no half of an admonition
        there = translation(doc)
        assert there.written(there.readable(text)) == text


SHOWN = {
    "{eq}`eq-gan-4`": "[(4)](https://medlatent.github.io/medlatent/notebooks/04_gan.html#equation-eq-gan-4",
    "{ref}`gan`": "[Generative adversarial networks](https://medlatent.github.io/medlatent/notebooks/04_gan.html#gan ",
    "{ref}`a game <gan>`": "[a game](https://medlatent.github.io/medlatent/notebooks/04_gan.html#gan ",
    "{term}`phantoms <phantom>`": "[phantoms](https://medlatent.github.io/medlatent/book/glossary.html#term-phantom ",
    "{cite:p}`higgins2017`": "([Higgins et al., 2017](https://medlatent.github.io/medlatent/book/references.html#cite-hi",
    "{cite:t}`kumar2018`": "[Kumar et al. (2018)](https://medlatent.github.io/medlatent/book/references.html#cite-kumar",
    "{cite:p}`kingma2014,rezende2014`": "([Kingma and Welling, 2014](",
    "{doc}`/book/claims`": "[Claims](https://medlatent.github.io/medlatent/book/claims.html ",
    "{doc}`02_vae`": "[The variational autoencoder](https://medlatent.github.io/medlatent/notebooks/02_vae.html ",
    "{py:func}`medlatent.losses.hsic`": "[`medlatent.losses.hsic()`](https://medlatent.github.io/medlatent/book/api/lo",
    "{py:class}`~medlatent.models.VAE`": "[`VAE`](https://medlatent.github.io/medlatent/book/api/models.html#medlatent.",
    "{py:func}`fit <medlatent.course.fit>`": "[`fit`](https://medlatent.github.io/medlatent/book/api/course.html#medl",
    "{py:mod}`medlatent.nets.style_content`": "[`medlatent.nets.style_content`](https://medlatent.github.io/medlatent",
    "(gan-lesions)=\n## Lesions": "<!-- (gan-lesions)= -->\n## Lesions",
    "$$ a = b , $$ (eq-gan-2)": "$$ a = b , \\tag{2} $$",
    "$$\na\n$$ (eq-gan-13)": "$$\na \\tag{13}\n$$",
    ":::{admonition} A *note*\n:class: tip\n- one\n\ntwo\n:::": "<!-- admonition :class: tip; -->\n> **A *note*** or",
    ":::{dropdown} Which?\nOne.\n:::": "<details>\n<summary>Which?</summary>\n\nOne.\n\n</details>",
}


@pytest.mark.parametrize("text", SHOWN)
def test_each_form(text):
    there = translation("notebooks/04_gan")
    shown = there.readable(text)
    assert shown.startswith(SHOWN[text].removesuffix(" or").removesuffix("*** or"))
    assert there.written(shown) == text


def test_an_admonition_is_a_quotation():
    shown = translation("notebooks/04_gan").readable(":::{admonition} To do\n:class: tip\n- one\n\nmore\n:::\n\nBelow.")
    assert shown == "<!-- admonition :class: tip; -->\n> **To do**\n>\n> - one\n>\n> more\n\nBelow."


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{eq}`eq-gan-99`", "04_gan.py: {eq}`eq-gan-99` leads to eq-gan-99, which the book does not have"),
        ("{ref}`nowhere`", "leads to nowhere"),
        ("{ref}`there <nowhere>`", "leads to nowhere"),
        ("{numref}`fig-gan-none`", "leads to fig-gan-none"),
        ("{term}`no such term`", "leads to no such term"),
        ("{cite:p}`higgins2017,nobody1900`", "leads to nobody1900"),
        ("{doc}`/book/nothing`", "leads to /book/nothing"),
        ("{py:func}`medlatent.losses.nothing`", "leads to medlatent.losses.nothing"),
        ("{py:meth}`medlatent.models.GAN.nothing`", "leads to medlatent.models.GAN.nothing"),
        ("{abbr}`VAE`", "{abbr}`VAE` has no form in Jupyter; there are eq, ref"),
        ("{ref}`check-gan-1`", "needs a text of its own"),
        (":::{warning}\nHot.\n:::", ":::{warning}  has no form in Jupyter"),
        ("$$ a $$ (eq-vae-3)", "the equation eq-vae-3 is to be called eq-gan-N"),
    ],
)
def test_what_cannot_be_shown_is_refused(text, message):
    with pytest.raises(BuildError, match=re.escape(message)):
        translation("notebooks/04_gan").readable(text)


def test_make_pair_and_the_linting_name_file_and_target(tmp_path):
    source = tmp_path / "01_good.py"
    source.write_text("# %% [markdown]\n# (good)=\n# # Good\n#\n# See {ref}`bad`.\n")
    source.with_suffix(".ipynb").write_text("{}")
    assert pair.problem(source) == "01_good.py: {ref}`bad` leads to bad, which the book does not have"
    with pytest.raises(BuildError, match="leads to bad"):
        pair.update(source, force=True)


# ------------------------------------------------------------------------------------------- edits made in Jupyter


SOURCE = """
# %% [markdown]
# (good)=
# # A good chapter
#
# Read {ref}`gan` on {term}`phantoms <phantom>`, {eq}`eq-gan-4` and {cite:p}`higgins2017,chen2018`;
# use {py:func}`medlatent.losses.hsic`.

# %% mystnb={"figure": {"caption": "A disc, {eq}`eq-gan-1`.", "name": "fig-good-disc"}}
show()

# %% [markdown]
# {numref}`fig-good-disc` is a disc.
"""


@pytest.fixture
def edited(tmp_path):
    """The source after an edit of the derived notebook was taken over."""

    def make(before: str, after: str) -> str:
        source = tmp_path / "01_good.py"
        source.write_text(SOURCE.lstrip())
        target = source.with_suffix(".ipynb")
        pair.update(source)
        notebook = json.loads(target.read_text())
        assert any(before in cell["source"] for cell in notebook["cells"])
        for cell in notebook["cells"]:
            cell["source"] = cell["source"].replace(before, after)
        target.write_text(json.dumps(notebook))
        with pytest.raises(BuildError, match="was edited by hand"):
            pair.update(source)
        pair.take(target)
        assert pair.problem(source) == ""
        return source.read_text()

    return make


@pytest.mark.parametrize(
    ("before", "after", "source_before", "source_after"),
    [
        ("Read [", "Study [", "Read {ref}", "Study {ref}"),
        ("[Generative adversarial networks]", "[this]", "{ref}`gan`", "{ref}`this <gan>`"),
        ("[phantoms]", "[ghosts]", "{term}`phantoms <phantom>`", "{term}`ghosts <phantom>`"),
        ("[`medlatent.losses.hsic()`]", "[`hsic`]", "{py:func}`med", "{py:func}`hsic <med"),
        ("A disc, ", "A plain disc, ", "A disc, ", "A plain disc, "),
        ("is a disc", "is round", "is a disc", "is round"),
    ],
)
def test_an_edit_keeps_the_roles(edited, before, after, source_before, source_after):
    expected = SOURCE.lstrip().replace(source_before, source_after)
    if "hsic <med" in source_after:
        expected = expected.replace("losses.hsic`", "losses.hsic>`")
    assert edited(before, after) == expected


@pytest.mark.parametrize(("before", "after"), [("[(4)]", "[equation 4]"), ("[Higgins et al., 2017]", "[them]")])
def test_an_edit_that_a_role_cannot_hold_is_refused(edited, before, after):
    with pytest.raises(BuildError, match=rf"01_good.py: the link {re.escape(after)} was made from"):
        edited(before, after)


def test_a_caption_without_its_number_is_refused(edited):
    with pytest.raises(BuildError, match="the caption of fig-good-disc no longer begins with its number"):
        edited("**: A disc", "** A disc")


def test_a_caption_stands_below_its_figure(tmp_path):
    source = tmp_path / "01_good.py"
    source.write_text(SOURCE.lstrip())
    cells = json.loads(pair.derive(source))["cells"]
    (index,) = (i for i, cell in enumerate(cells) if CAPTION in cell["metadata"].get("tags", []))
    assert cells[index - 1]["source"] == "show()"
    assert re.match(
        r'\*\*\[Fig\. \d+\]\(\S+#fig-good-disc "numref fig-good-disc"\)\*\*: A disc, \[\(1\)\]', cells[index]["source"]
    )


def test_the_books_edition_keeps_its_myst():
    source = ROOT / "notebooks/04_gan.py"
    cells = json.loads(pair.derive(source, exercises.book, for_sphinx=True))["cells"]
    ours = [c["source"] for c in cells if "colab" not in c["metadata"].get("tags", [])]
    assert ours == [c.source for c in jupytext.read(source).cells]


# ------------------------------------------------------------------------------------------- against the built pages


def attributes(page: str, tag: str) -> list[str]:
    return re.findall(rf"<{tag}\b[^>]*>", page)


@pytest.mark.built
@each
def test_every_link_leads_to_a_place_of_the_built_book(doc, html):
    wrong = []
    for link in links(doc):
        place, _, anchor = link["url"].removeprefix(f"{TARGETS.address}/").partition("#")
        page = html / place
        if not page.is_file() or (anchor and f'id="{anchor}"' not in page.read_text(encoding="utf-8")):
            wrong.append(link["url"])
    assert wrong == []


@pytest.mark.built
@each
def test_the_words_of_links_are_those_of_the_page(doc, html):
    text = (html / f"{doc}.html").read_text(encoding="utf-8")
    numbers = dict(re.findall(r'id="equation-(eq-[\w-]+)">\s*<span class="eqno">\((\d+)\)', text))
    labelled = [m["label"] for source in markdown(doc) for m in DISPLAYED.finditer(source) if m["label"]]
    assert numbers == {label: label.rpartition("-")[2] for label in labelled}
    figures = re.findall(r'<figure[^>]*id="(fig-[\w-]+)".*?caption-number">(Fig\. \d+) <', text, re.S)
    shown = {plain(words) for words in re.findall(r'<a class="reference internal"[^>]*>(.*?)</a>', text, re.S)}
    captions = dict(figures)
    for link in links(doc):
        words = plain(link["text"].replace("`", "").replace("*", ""))
        if link["role"] == "numref" and link["content"] in captions:
            assert words == captions[link["content"]]
        elif link["role"] == "cite:t":
            assert words[-5:-1] in shown
        else:
            assert words in shown


def plain(text: str) -> str:
    """Words without tags; a page has typographic quotes."""
    words = entities.unescape(re.sub(r"<[^>]+>", "", text))
    return " ".join(words.translate(str.maketrans("’‘“”", "''\"\"")).split())
