"""The PDF of the book: what is printed of a page, how the printed pages are put together, and the whole in Chromium."""

import io
import json
import re
from pathlib import Path

import numpy as np
import pdf
import pytest
import yaml
from address import forms
from browser import ADVICE
from bs4 import BeautifulSoup
from common import BuildError
from generate import toc_documents
from printable import ORIGIN, Printable, asked_for, printable
from pypdf import PdfReader, PdfWriter
from pypdf.annotations import Link
from pypdf.generic import NameObject, NumberObject, StreamObject

ROOT = Path(__file__).resolve().parents[2]
ADDRESS = "https://someone.github.io/latents"
CONFIG = {"title": "A book", "author": "its authors", "sphinx": {"config": {"language": "en"}}}
STATE = {"state": {"w1": {"state": {"title": "Digits"}}}}
QUIZ = [
    {
        "question": "What is $x^2$?",
        "answers": [{"answer": "two", "feedback": "Yes!", "correct": True}, {"answer": "one"}],
    },
    {"question": "How many?", "answers": [{"type": "value", "value": 384}]},
]

PAGE = f"""<html><head>
<script>window.MathJax = {{"options": {{}}}}</script><script src="../_static/mathjax/tex.js"></script>
<script src="../_static/theme.js"></script>
<script type="application/vnd.jupyter.widget-state+json">{json.dumps(STATE)}</script>
</head><body><nav>all pages</nav><article>
<section id="top"><h1>A \\(\\beta\\)-VAE<a class="headerlink" href="#top">#</a></h1>
<p><a href="#two">here</a> <a href="03_other.html#fig-1">there</a> <a href="../book/api.html">not printed</a>
<a href="https://example.org/x">elsewhere</a> <a href="#gone">folded</a></p>
<section id="two"><h2>Two<a class="headerlink" href="#two">#</a></h2>
<div class="cell tag_hide-input"><details class="hide above-input"><summary>
<p class="collapsed">Show code cell source</p></summary><pre id="gone">plot()</pre></details>
<div class="cell_output"><a class="only-light" href="a.png"><img alt="A disc." class="only-light" src="a.png"></a>
<a class="only-dark" href="b.png"><img alt="A disc." class="only-dark" src="b.png"></a></div></div>
<div class="cell tag_hide-input"><details class="hide above-input"><summary>
<p class="collapsed">Show code cell source</p></summary><pre>import x</pre></details></div>
<div class="cell"><div class="cell_output"><span><img alt="Six rows." src="still.png"></span>
<script type="application/vnd.jupyter.widget-view+json">{{"model_id": "w1"}}</script></div></div>
<div class="cell"><div class="cell_output">
<script type="application/vnd.jupyter.widget-view+json">{{"model_id": "w2"}}</script></div></div>
<div class="cell"><details class="hide above-input"><summary><p class="collapsed">Show the solution</p></summary>
<pre>42</pre></details><details class="hide below-input"><summary>
<p class="collapsed">Show what the check says</p></summary>
<pre>Correct.</pre></details></div>
<div class="cell tag_quiz"><script>var questionsAb1={json.dumps(QUIZ)};
if (true) {{ }}</script></div>
<button>Copy</button></section></section></article></body></html>"""


@pytest.fixture(scope="module")
def page() -> Printable:
    return printable(PAGE, "notebooks/02_vae", "Foundations", ADDRESS, ["notebooks/02_vae", "notebooks/03_other"])


@pytest.fixture(scope="module")
def soup(page) -> BeautifulSoup:
    return BeautifulSoup(page.html, "html.parser")


def words(node) -> str:
    return " ".join(node.get_text().split())


# ------------------------------------------------------------------------------------------------ the order of pages


def test_the_pages_are_those_of_the_table_of_contents_in_its_order(tmp_path):
    (tmp_path / "_toc.yml").write_text(
        "root: book/index\nparts:\n- caption: One\n  chapters:\n  - file: a\n    sections:\n    - file: b\n"
        "- caption: Two\n  chapters:\n  - file: book/api\n    sections:\n    - file: book/api/x\n  - file: c\n"
    )
    book = [pdf.Leaf("book/index", "", 0), pdf.Leaf("a", "One", 0), pdf.Leaf("b", "One", 1), pdf.Leaf("c", "Two", 0)]
    assert pdf.leaves(tmp_path) == book
    assert [leaf.doc for leaf in pdf.leaves(tmp_path, api=True)] == toc_documents(tmp_path)
    (tmp_path / "_toc.yml").write_text("root: book/index\nchapters:\n- file: a\n")
    assert pdf.leaves(tmp_path) == [pdf.Leaf("book/index", "", 0), pdf.Leaf("a", "", 0)]


def test_of_this_book_nothing_but_the_api_is_left_out():
    left_out = set(toc_documents(ROOT)) - {leaf.doc for leaf in pdf.leaves(ROOT)}
    assert left_out
    assert all(doc.startswith("book/api") for doc in left_out)


def test_pages_are_chosen_by_name_and_stay_in_order():
    assert [leaf.doc for leaf in pdf.chosen(pdf.leaves(ROOT), ["vae", "00_start"])] == [
        "notebooks/00_start",
        "notebooks/02_vae",
    ]
    with pytest.raises(BuildError, match="no such notebook"):
        pdf.chosen(pdf.leaves(ROOT), ["nothing"])


# ------------------------------------------------------------------------------------------- what is printed of a page


def test_only_the_article_is_printed_and_only_mathjax_runs(page, soup):
    assert page.title == "A beta-VAE"
    assert page.sections == [("two", "Two")]
    assert not soup.select("nav, button, details, .only-dark, .headerlink")
    assert [script.get("src") for script in soup.select("script") if script.get("src")] == ["../_static/mathjax/tex.js"]
    assert words(soup.select_one(".part")) == "Foundations"
    assert soup.select_one(".address a")["href"] == f"{ADDRESS}/notebooks/02_vae.html"


def test_links_lead_into_the_pdf_or_to_the_published_page(soup):
    links = {words(link): link["href"] for link in soup.select("article p a")}
    assert links["here"] == "#two"
    assert links["there"] == f"{ORIGIN}notebooks/03_other.html#fig-1"
    assert links["not printed"] == f"{ADDRESS}/book/api.html"
    assert links["elsewhere"] == "https://example.org/x"
    assert links["folded"] == f"{ADDRESS}/notebooks/02_vae.html#gone"


def test_a_still_picture_stands_in_the_place_of_a_widget(soup):
    live, needs_kernel = soup.select("figure.widget")
    assert live.img["src"] == "still.png"
    assert words(live.figcaption).startswith(
        "Digits. Six rows. Interactive: someone.github.io/latents/notebooks/02_vae"
    )
    assert live.a["href"] == f"{ADDRESS}/notebooks/02_vae.html#two"
    assert not needs_kernel.img
    assert words(needs_kernel).endswith("#two, with a kernel.")


def test_a_quiz_is_its_questions_without_the_answers(soup):
    first, second = soup.select("ol.quiz > li")
    assert words(first).startswith(r"What is \(x^2\)?")
    assert [words(choice) for choice in first.select("ul li")] == ["one", "two"]
    assert words(first.select_one(".math")) == r"\(x^2\)"
    assert words(second) == "How many?"
    assert "Yes!" not in soup.get_text()
    assert "384" not in soup.get_text()


def test_what_is_folded_is_a_line_that_leads_to_the_page(soup):
    lines = [words(line) for line in soup.select(".on-page")]
    assert lines[:2] == ["Code on the page", "The solution on the page"]  # and not the same line twice
    assert soup.select_one(".on-page a")["href"] == f"{ADDRESS}/notebooks/02_vae.html#two"
    assert not {"plot()", "42", "Correct."} & {words(pre) for pre in soup.select("pre")}


def test_a_page_without_an_article_is_refused():
    with pytest.raises(ValueError, match=r"x\.html: .* article with a title"):
        printable("<html><p>nothing</p></html>", "x", "", ADDRESS, [])


def test_a_page_without_formulas_brings_no_mathjax():
    text = printable("<article><h1>x</h1></article>", "x", "", ADDRESS, []).html
    assert "<script" not in text


def test_requests():
    assert asked_for(f"{ORIGIN}_static/a%20b.css?v=1") == "_static/a b.css"
    assert asked_for("https://example.org/_static/a.css") is None


def test_the_title_at_the_foot_is_no_style():
    rules = pdf.sheet_rules("a4", "It's \\ “β”", 7)
    assert re.search(r"content: '(It\\27 s\\20 \\5c \\20 \\201c \\3b2 \\201d )'", rules)
    assert "page 6" in rules


# -------------------------------------------------------------------------------------------------- putting together


def printed(
    doc: str, part: str, level: int, count: int, first: int, links: tuple = (), names: tuple = ()
) -> pdf.Sheets:
    """Empty sheets with links on the first and names on the last."""
    writer = PdfWriter()
    for _ in range(count):
        writer.add_blank_page(595, 842)
    for url in links:
        writer.add_annotation(0, Link(rect=(0, 0, 10, 10), url=url))
    for name in names:
        writer.add_named_destination(f"/{name}", count - 1)
    file = io.BytesIO()
    writer.write(file)
    title = doc.rpartition("/")[2].title()
    return pdf.Sheets(
        pdf.Leaf(doc, part, level), Printable(title, "", [(n, n.upper()) for n in names]), file.getvalue(), first
    )


@pytest.fixture(scope="module")
def bound() -> PdfReader:
    links = (f"{ORIGIN}n/two.html#end", f"{ORIGIN}n/two.html", f"{ADDRESS}/book/api.html")
    sheets = [
        printed("b/index", "", 0, 1, 1, links),
        printed("n/one", "Start", 0, 2, 2),
        printed("n/two", "Start", 1, 3, 4, names=("end",)),
    ]
    front = printed("cover", "", 0, 2, 1, (f"{ORIGIN}n/one.html",)).pdf
    file = io.BytesIO()
    pdf.bind(front, sheets, CONFIG).write(file)
    return PdfReader(file)


def goal(link, reader: PdfReader) -> int | str:
    link = link.get_object()
    if "/Dest" not in link:
        return str(link["/A"]["/URI"])
    return next(i for i, page in enumerate(reader.pages) if page.indirect_reference == link["/Dest"][0])


def outline(items, reader: PdfReader) -> list:
    """Titles and sheets, nested."""
    return [
        outline(item, reader) if isinstance(item, list) else (item.title, reader.get_destination_page_number(item))
        for item in items
    ]


def test_links_between_printed_pages_are_bound(bound):
    assert [goal(link, bound) for link in bound.pages[0]["/Annots"]] == [3]
    assert [goal(link, bound) for link in bound.pages[2]["/Annots"]] == [7, 5, f"{ADDRESS}/book/api.html"]


def test_the_outline_has_parts_chapters_and_sections(bound):
    chapters = [("One", 3), [("Two", 5), [("END", 7)]]]
    assert outline(bound.outline, bound) == [("Index", 2), ("Start", 3), chapters]


def test_sheets_are_numbered_and_the_pdf_says_what_it_is(bound):
    assert bound.page_labels == ["i", "ii", "1", "2", "3", "4", "5", "6"]
    assert (bound.metadata.title, bound.metadata.author, bound.metadata.subject) == ("A book", "its authors", "Index")
    assert bound.trailer["/Root"]["/Lang"] == "en"
    assert bound.trailer["/Root"]["/ViewerPreferences"]["/DisplayDocTitle"].value is True


def test_pictures_are_compressed_without_a_change():
    rows, columns = np.mgrid[:40, :60]
    pixels = np.stack([rows * 5, columns * 3, rows + columns], 2).astype(np.uint8)
    image = StreamObject()
    image.set_data(pixels.tobytes())
    image = image.flate_encode()
    for name, value in {"/Width": 60, "/Height": 40, "/BitsPerComponent": 8}.items():
        image[NameObject(name)] = NumberObject(value)
    before = len(image._data)
    pdf.compress(image)
    assert len(image._data) < before
    assert "/DecodeParms" in image
    assert image.get_data() == pixels.tobytes()


# ------------------------------------------------------------------------------------------------------ what goes wrong


def test_without_a_built_book_it_says_what_to_do(tmp_path):
    leaves = [pdf.Leaf("book/index", "", 0), pdf.Leaf("a", "", 0)]
    with pytest.raises(BuildError, match="not built: run make book"):
        pdf.write_pdf(tmp_path, leaves, tmp_path / "x.pdf", browser=None)
    for name in ("index", "book/index"):
        (tmp_path / f"_build/html/{name}.html").parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / f"_build/html/{name}.html").write_text(PAGE)
    with pytest.raises(BuildError, match="lacks a: run make book"):
        pdf.write_pdf(tmp_path, leaves, tmp_path / "x.pdf", browser=None)
    assert not (tmp_path / "x.pdf").exists()


def test_without_a_browser_it_says_what_to_do():
    with pytest.raises(BuildError, match=re.escape(ADVICE)), pdf.running(None):
        pass


@pytest.mark.browser
@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("<img src='https://example.org/x.png'>", "asks another host: https://example.org/x.png"),
        ("<img src='_images/x.png'>", "asks for _images/x.png"),
        ("<img src='../../../etc/hostname'>", "asks for etc/hostname"),
        ("<p class='math'>x</p>", "raw: x"),
        ("<p style='width: 900px'>long</p>", "wide: P"),
    ],
)
def test_a_page_that_cannot_be_printed_stops_the_pdf(browser, tmp_path, body, message):
    with (
        pytest.raises(BuildError, match=rf"(?s)^page cannot .*{re.escape(message)}"),
        pdf.press(tmp_path, browser, "a4") as pull,
    ):
        pull("page", f"<!doctype html><article>{body}</article>", pdf.sheet_rules("a4", "x", 1))


# ---------------------------------------------------------------------------------------------------------- the book


@pytest.fixture(scope="module")
def some_pages(browser, html, tmp_path_factory) -> PdfReader:
    """Three pages of the built book: an explorer, formulas and a quiz; exercises; and a page that others link to."""
    target = tmp_path_factory.mktemp("pdf") / "some.pdf"
    found = pdf.chosen(pdf.leaves(ROOT), ["start", "start_exercises", "glossary"])
    count = pdf.write_pdf(ROOT, found, target, browser)
    reader = PdfReader(target)
    assert len(reader.pages) == count
    return reader


@pytest.mark.built
@pytest.mark.browser
@pytest.mark.timeout(300)
def test_pages_of_the_book_are_printed(some_pages):
    whole = " ".join(" ".join(page.extract_text() for page in some_pages.pages).split())
    for phrase in (
        "Start here: a latent space in five minutes",
        "Interactive: ",
        "Answers and feedback",
        "on the page",
    ):
        assert phrase in whole
    assert not re.search(
        r"\$\$|\\\(|\\\[|\\[a-z]+\{|YOUR ANSWER|Show code cell|Copy to clipboard", whole
    )  # formulas are drawn
    width, height = pdf.PAPERS["a4"]
    for sheet in some_pages.pages:
        assert float(sheet.mediabox.width) == pytest.approx(width / 25.4 * 72, abs=1)
        assert float(sheet.mediabox.height) == pytest.approx(height / 25.4 * 72, abs=1)


@pytest.mark.built
@pytest.mark.browser
@pytest.mark.timeout(300)
def test_numbers_contents_and_outline_of_printed_pages_agree(some_pages):
    labels = some_pages.page_labels
    begin = labels.index("1")
    assert labels[:begin] == ["i", "ii"]
    for sheet, label in zip(some_pages.pages[begin:], labels[begin:], strict=True):
        assert re.search(rf"(^|\D){label}($|\D)", sheet.extract_text()), f"sheet {label} does not say its number"
    parts = outline(some_pages.outline, some_pages)
    assert [part[0] for part in parts[::2]] == ["Start", "Reference"]
    (chapter, sections, (glossary, at)) = (parts[1][0], parts[1][1], parts[3][0])
    assert chapter == ("Start here: a latent space in five minutes", begin)
    assert "Quiz" in [item[0] for item in sections if isinstance(item, tuple)]
    assert glossary == "Glossary"
    contents = some_pages.pages[1].extract_text()
    assert re.search(rf"Glossary\s*{labels[at]}\b", contents)
    assert goal(some_pages.pages[1]["/Annots"][-1], some_pages) == at


@pytest.mark.built
@pytest.mark.browser
@pytest.mark.timeout(300)
def test_links_of_printed_pages_lead_into_the_pdf_or_to_the_published_book(some_pages):
    config = yaml.safe_load((ROOT / "_config.yml").read_text())
    address = f"{forms(config['repository']['url'])[2]}/"
    goals = [goal(link, some_pages) for sheet in some_pages.pages for link in sheet.get("/Annots", [])]
    outside = [where for where in goals if isinstance(where, str)]
    assert any(isinstance(where, int) for where in goals)
    assert any(where.startswith(f"{address}notebooks/00_start.html#") for where in outside)  # explorers, code
    assert any(where.startswith(f"{address}notebooks/02_vae.html") for where in outside)  # a page that is not printed
    assert not [where for where in outside if not where.startswith("https://")]
