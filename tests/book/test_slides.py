"""Decks of slides: what is derived of a chapter, that edits are kept, and how a presentation looks in Chromium."""

import json
import re

import deck as derivation
import nbformat
import pytest
import slides
from bs4 import BeautifulSoup
from common import BuildError
from deck import Chapter, code_pieces, deck, key_sentences, sentences, table_pieces
from generate import named, slug, toc_chapters
from nbconvert.filters import markdown2html_mistune
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from targets import Targets

DOC = "notebooks/02_vae"
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAIAAAABCAYAAAD0In+KAAAAFElEQVR4nGNkYGD4z8DAwMDEAAUADigBA9VdKBgAAAAASUVORK5CYII="


@pytest.fixture(scope="module")
def targets(root):
    return Targets(root)


@pytest.fixture
def derive(root, targets):
    """From cells to a deck, without the slides of title and objectives."""

    def run(*cells):
        made = deck(root, DOC, new_notebook(cells=[new_markdown_cell("# A title\n"), *cells]), targets)
        return [(c.metadata.slideshow.slide_type, c.source) for c in made.cells if c.id not in ("cell-0", "cell-1")]

    return run


def shown(data, **metadata):
    return new_code_cell("draw()", metadata=metadata, outputs=[new_output("display_data", data)])


def test_a_section_is_a_stack_of_slides_with_its_prose_as_notes(derive):
    text = "(vae-kl)=\n## The bound\n\nProse is said.\n\n**It is always tight.** For one guess."
    text += "\n\n### Below\n\nSee\n\n$$ a $$ (eq-vae-2)"
    assert derive(new_markdown_cell(text)) == [
        ("slide", "## The bound\n\n- **It is always tight.**"),
        ("notes", "Prose is said.\n\n**It is always tight.** For one guess."),
        ("subslide", "### Below\n\nSee\n\n$$ a \\tag{2} $$"),
        ("notes", "See\n\n*Equation (2).*"),
    ]


def test_roles_become_links_to_the_published_page(derive, targets):
    ((_, slide),) = derive(new_markdown_cell("## S\n\n- {eq}`eq-vae-3`, {term}`nat`, {cite:p}`kingma2014`"))
    links = re.findall(r"\[([^\]]+)\]\((\S+)\)", slide)
    assert [words for words, _ in links] == ["(3)", "nat", "Kingma and Welling, 2014"]
    assert all(address.startswith(targets.address) for _, address in links)
    assert "{" not in slide


def test_a_role_that_leads_nowhere_is_an_error(derive):
    with pytest.raises(BuildError, match="eq-vae-99"):
        derive(new_markdown_cell("## S\n\n{eq}`eq-vae-99`"))


def test_code_is_left_out_but_what_a_cell_shows_of_it(derive):
    cells = [shown({"text/markdown": "```python\nloss()\n```"}), new_code_cell("secret()")]
    hidden = shown({"text/html": "<table><tr><td>1</td></tr></table>"}, tags=["hide-cell"])
    assert derive(new_markdown_cell("## S"), *cells, hidden) == [("slide", "## S\n\n```python\nloss()\n```")]


def test_a_figure_is_attached_with_its_caption_and_alt_text(root, targets):
    figure = {"caption": "A curve of $x$.", "name": "fig-vae-kl"}
    cell = shown({"image/png": PNG}, mystnb={"figure": figure, "image": {"alt": "One curve."}})
    made = deck(root, DOC, new_notebook(cells=[new_markdown_cell("## S"), cell]), targets).cells[-1]
    assert made.attachments == {"fig-vae-kl.png": {"image/png": PNG}}
    assert "![One curve.](attachment:fig-vae-kl.png)\n\n**[Fig. " in made.source
    assert made.source.endswith(": A curve of $x$.")


@pytest.mark.parametrize(
    "alt",
    [
        "</SCRIPT><img src=x onerror=window.PWN=1>",
        "<script>a</script>",
        "ends in \\",
        '`a` $b$ _c_ *d* &amp; "e" | !(f)',
    ],
)
def test_what_a_picture_is_called_is_no_markup(derive, alt):
    cell = shown({"image/png": PNG}, mystnb={"image": {"alt": alt}})
    slides = [source for kind, source in derive(new_markdown_cell("## S"), cell) if "attachment:" in source]
    (page,) = (
        BeautifulSoup(markdown2html_mistune(source.replace("attachment:", "")), "html.parser") for source in slides
    )
    assert [tag.name for tag in page.find_all(True) if tag.name != "p"] == ["h2", "a", "img"]
    assert page.img["alt"] == alt


def test_what_a_cell_prints_is_said(derive):
    cell = new_code_cell("", outputs=[new_output("stream", text="KL 1.2\n")])
    assert derive(new_markdown_cell("## S\n\n- an item"), cell)[1] == (
        "notes",
        "The cell prints:\n\n```text\nKL 1.2\n```",
    )


def test_an_answer_behind_a_click_is_for_the_speaker(derive):
    text = "## S\n\n:::{admonition} Exercise: why?\n:class: note\nTry it.\n:::\n\n"
    text += ":::{dropdown} Show the answer\nBecause.\n:::"
    (_, slide), (_, notes) = derive(new_markdown_cell(text))
    assert "> **Exercise: why?**\n>\n> Try it." in slide
    assert "Because." not in slide
    assert notes == "**Show the answer**\n\nBecause."


def test_a_section_without_anything_to_show_has_the_first_sentences_of_its_paragraphs(derive):
    text = "## S\n\nThe first paragraph begins with a whole sentence. More."
    text += "\n\nAnd so does the second one of this section. More."
    (_, slide), _ = derive(new_markdown_cell(text))
    assert slide.splitlines()[2:] == [
        "- The first paragraph begins with a whole sentence.",
        "- And so does the second one of this section.",
    ]


def test_the_quiz_shows_choices_in_no_telling_order_and_says_the_answers(derive):
    answers = [{"answer": f"choice {n}", "correct": n == 0, "feedback": f"because {n}"} for n in range(4)]
    numeric = {"question": "How many?", "type": "numeric", "answers": [{"type": "value", "value": 3, "correct": True}]}
    questions = [{"question": "Which?", "type": "multiple_choice", "answers": answers}, numeric]
    cell = shown({"application/javascript": f"var questionsAb1={json.dumps(questions)};\n more()"})
    first, said, second, number = derive(new_markdown_cell("## Quiz"), cell)
    assert sorted(re.findall(r"\d\. (.+)", first[1])) == [f"choice {n}" for n in range(4)]
    assert "because" not in first[1]
    place = re.search(r"(\d)\. choice 0", first[1])[1]
    assert f"- {place}. **right.** because 0" in said[1]
    assert second[1] == "## Quiz\n\nHow many?"
    assert number[1] == "- 3: **right.**"


def test_verdicts_are_a_table_of_all_and_a_slide_for_each_that_has_parts(derive, judged, monkeypatch):
    from medlatent.course import show_claims

    monkeypatch.setattr("medlatent.claims.results_folder", lambda: judged)
    cell = shown({"text/html": show_claims("attribute_vae")._repr_html_()})
    cells = derive(new_markdown_cell("## Verdicts"), cell)
    overview, notes, *parts = (source for _, source in cells)
    assert re.findall(r"^\| (\w+) \| \*\*", overview, re.M) == ["A1a", "A2", "B9"]
    assert "it *works* for <all>" not in overview, "the words of a paper are no Markdown"
    assert notes.startswith("How it was judged:\n\n- data: made up")
    assert len(parts) == 2
    for part in parts:
        head = BeautifulSoup(part, "html.parser").tr
        assert [th.get_text() for th in head.find_all("th")][:4] == ["Part", "Verdict", "Paper's effect", "Ours"]
        assert len(head.find_all("th")) == 6


def test_sentences_end_where_they_do():
    text = "Sarhan et al. {cite:p}`a. B` ask. Is $a. B$ so? **It is. Yes.** `x. Y` stays."
    assert sentences(text) == ["Sarhan et al. {cite:p}`a. B` ask.", "Is $a. B$ so?", "**It is. Yes.**", "`x. Y` stays."]


def test_key_sentences_are_bold_and_a_label_brings_the_next_one():
    assert key_sentences("**It always holds here.** More. **Gaussian.** One variance. More.") == [
        "**It always holds here.**",
        "**Gaussian.** One variance.",
    ]
    assert key_sentences("**S1: undecided**. More. A **word** more.") == []


def test_long_code_is_cut_where_it_is_least_indented():
    functions = [f"def f{n}():\n" + "    x = 1\n" * 10 for n in range(3)]
    assert [part.count("def") for part in code_pieces("\n\n".join(functions))] == [2, 1]
    long = "def f():\n" + "".join(f"    if a{n}:\n        b = {n}\n" for n in range(40))
    parts = code_pieces(long)
    assert "\n".join(parts) == long.strip()
    assert all(len(part.splitlines()) <= derivation.CODE_LINES for part in parts)
    assert all(part.startswith(("def", "    if")) for part in parts)


def test_a_long_table_is_cut_between_its_groups_below_its_head():
    rows = "".join(f'<tr><th rowspan="2">g{n}</th><td>1</td></tr><tr><td>2</td></tr>' for n in range(10))
    table = BeautifulSoup(
        f"<table><thead><tr><th>h</th></tr></thead><tbody>{rows}</tbody></table>", "html.parser"
    ).table
    parts = table_pieces(table, 7)
    assert [len(part.find_all("th", rowspan=True)) for part in parts] == [3, 3, 3, 1]
    assert all(part.thead for part in parts)


def test_an_unknown_chapter_names_the_known_ones(root):
    with pytest.raises(BuildError, match=r"nothing.*start, images, vae"):
        named(toc_chapters(root), "nothing")


# ------------------------------------------------------------------------------------------------------------- files


@pytest.fixture
def small(root, targets):
    text = "## S\n\n- an item of $x^2$\n\n$$ a = b $$ (eq-vae-1)\n\nThis is for the speaker: $z$."
    return lambda more="": deck(root, DOC, new_notebook(cells=[new_markdown_cell(text + more)]), targets)


def test_an_untouched_deck_follows_its_chapter(tmp_path, small):
    path = tmp_path / "vae.ipynb"
    assert slides.update(path, small())[1] == ""
    there, said = slides.update(path, small("\n\nMore."))
    assert (said, there.cells[-1].source) == ("", nbformat.read(path, 4).cells[-1].source)
    assert there.cells[-1].source.endswith("More.")


@pytest.mark.parametrize("how", ["text", "type", "picture", "foreign"])
def test_an_edited_deck_is_kept_and_converted(tmp_path, small, how):
    path = tmp_path / "vae.ipynb"
    slides.update(path, small())
    notebook = nbformat.read(path, 4)
    cell = notebook.cells[0]
    if how == "text":
        cell.source = "# My title"
    elif how == "type":
        cell.metadata.slideshow.slide_type = "skip"
    elif how == "picture":
        cell.attachments = {"own.png": {"image/png": PNG}}
    else:
        notebook.metadata.pop("medlatent")
    nbformat.write(notebook, path)
    before = path.read_bytes()
    there, said = slides.update(path, small("\n\nMore."))
    assert path.read_bytes() == before
    assert there.cells[0] == notebook.cells[0]
    assert "was edited: it is kept" in said
    assert "The chapter has changed since" in said
    assert "SLIDES=" in said


def test_an_edit_of_a_chapter_as_it_is_says_nothing_of_changes(tmp_path, small):
    path = tmp_path / "vae.ipynb"
    slides.update(path, small())
    path.write_text(path.read_text().replace("an item", "my item"))
    assert "has changed since" not in slides.update(path, small())[1]


def test_a_damaged_deck_is_left_and_said(tmp_path, small):
    path = tmp_path / "vae.ipynb"
    path.write_text("<<<<<<<")
    with pytest.raises(BuildError, match=r"vae\.ipynb cannot be read"):
        slides.update(path, small())
    assert path.read_text() == "<<<<<<<"


def test_a_presentation_is_whole_and_one_that_was_edited_stays(tmp_path, small):
    path = tmp_path / "vae.html"
    slides.present(small(), path, tmp_path)
    slides.present(small("\n\nMore."), path, tmp_path)
    page = BeautifulSoup(path.read_text(), "html.parser")
    assert [tag.get("src") or tag.get("href") for tag in page.select("script[src], link[href]")] == []
    assert [aside.get_text(" ", strip=True) for aside in page.select("aside.notes")][-1].endswith("More.")
    path.write_text(path.read_text().replace("an item", "my item"))
    before = path.read_text()
    with pytest.raises(BuildError, match=r"vae\.html was edited by hand.*vae\.ipynb"):
        slides.present(small(), path, tmp_path)
    assert path.read_text() == before


def test_a_chapter_that_is_not_executed_says_what_to_do(tmp_path, root):
    with pytest.raises(BuildError, match="make slides"):
        slides.make(tmp_path, tmp_path / "slides", DOC)


# ------------------------------------------------------------------------------------------------- in the built book

# The formulas of a slide that are none, what sticks out of it, and the sizes of its type.
LOOK = r"""() => {
  const slide = Reveal.getCurrentSlide(), frame = slide.querySelector(".frame");
  const seen = [...frame.querySelectorAll("*")].filter(e => !e.closest("aside, svg, mjx-assistive-mml"));
  const out = seen.filter(e => {
    const box = e.getBoundingClientRect();
    return box.width && (box.right > innerWidth + 1 || box.bottom > innerHeight + 1 || box.left < -1);
  });
  const text = seen.filter(e => e.tagName !== "PRE" && !e.closest("pre, code")).map(e => e.innerText).join(" ");
  return {
    title: frame.querySelector("h1, h2, h3").innerText,
    out: out.map(e => e.tagName).concat(frame.scrollHeight > frame.clientHeight + 1 ? ["FRAME"] : []),
    errors: frame.querySelectorAll("mjx-merror, [data-mjx-error]").length,
    raw: (text.match(/\$\$|\\(frac|mathrm|begin)|\{(eq|ref|term|cite)/) || []).length,
    broken: [...frame.querySelectorAll("img")].filter(i => !i.naturalWidth || i.clientHeight < 150).length,
    scale: parseFloat(frame.style.getPropertyValue("--scale") || 1),
  };
}"""
SHOWN = pytest.mark.parametrize("doc", toc_chapters(slides.ROOT), ids=slug)


def executed(root, doc):
    path = root / f"_build/executed/{doc}.ipynb"
    if not path.is_file():
        pytest.fail("the book is not built: run make book")
    return nbformat.read(path, as_version=4)


@pytest.mark.built
@pytest.mark.browser
@pytest.mark.timeout(300)
@SHOWN
def test_a_presentation_fits_its_slides_and_needs_no_other_host(browser, root, targets, tmp_path, doc):
    made, path = deck(root, doc, executed(root, doc), targets), tmp_path / f"{slug(doc)}.html"
    slides.present(made, path, tmp_path)
    page, asked, errors = browser.new_page(viewport={"width": 1280, "height": 720}), [], []
    page.on("request", lambda r: r.url.startswith("data:") or asked.append(r.url))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: message.type == "error" and errors.append(message.text))
    page.goto(path.as_uri(), timeout=120_000)
    page.wait_for_function("window.Reveal && Reveal.isReady()", timeout=120_000)
    assert asked == [path.as_uri()]
    planned = [c for c in made.cells if c.metadata.slideshow.slide_type in ("slide", "subslide")]
    assert page.evaluate("Reveal.getTotalSlides()") == len(planned)
    assert page.evaluate("document.querySelectorAll('.frame mjx-container svg').length") > 0
    looks = []
    for _ in planned:
        looks.append(page.evaluate(LOOK))
        page.keyboard.press("Space")
    page.close()
    bad = [
        look for look in looks if look["out"] or look["errors"] or look["raw"] or look["broken"] or look["scale"] < 0.6
    ]
    assert bad == []
    assert errors == []
    assert len({look["title"] for look in looks}) > len(planned) / 5, "the space bar leads from slide to slide"


@pytest.mark.built
@pytest.mark.browser
@pytest.mark.timeout(120)
def test_the_window_of_the_speaker_shows_the_notes(browser, small, tmp_path):
    path = tmp_path / "vae.html"
    slides.present(small(), path, tmp_path)
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{path.as_uri()}#/2")
    page.wait_for_function("window.Reveal && Reveal.isReady()")
    with context.expect_page() as opened:
        page.keyboard.press("s")
    notes = opened.value.locator(".speaker-controls-notes .value")
    notes.get_by_text("This is for the speaker").wait_for()
    assert notes.locator("svg").count() == 1
    context.close()


@pytest.mark.built
@SHOWN
def test_a_deck_has_every_numbered_equation_and_figure_of_its_chapter(root, targets, doc):
    from generate import Chapter as Source

    notebook = executed(root, doc)
    text = "\n".join(cell.source for cell in deck(root, doc, notebook, targets).cells)
    source = Source.read(root, doc)
    assert len(re.findall(r"\\tag\{\d+\}", text)) == len(source.labels)
    figures = {c.metadata.get("mystnb", {}).get("figure", {}).get("name") for c in notebook.cells if c.get("outputs")}
    assert {f"{name}.png" for name in figures - {None}} <= set(re.findall(r"attachment:(fig-[\w-]+\.png)", text))
    assert Chapter(root, doc, notebook, targets).title == source.title
