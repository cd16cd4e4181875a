"""A page of the built book as it is printed: its article alone, with pictures where it has controls.

Nothing is executed but MathJax, so what a page's scripts would make of it is written here: the still picture in the
place of an explorer, the questions of a quiz, and in the place of what is folded away a line that links to the page.
"""

import html
import json
import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote, urldefrag, urljoin, urlsplit

import matplotlib
from bs4 import BeautifulSoup, Tag

ORIGIN = "http://book.invalid/"  # whence a browser gets the pages that are printed; a host that cannot exist
FONTS = Path(matplotlib.get_data_path()) / "fonts/ttf"  # the same letters on every machine, those of the figures
FONT_URL = f"{ORIGIN}_fonts/"
STYLE = Path(__file__).with_name("print.css")
STATE = "script[type='application/vnd.jupyter.widget-state+json']"
VIEW = "script[type='application/vnd.jupyter.widget-view+json']"
# What has no use on paper: anchors that show on hovering, the versions of figures for dark mode, links to source.
DROPPED = ".headerlink, .only-dark, .viewcode-link, .toctree-wrapper, .above-output-prompt, button, noscript"
SHORT = 16  # lines of code that stay on one sheet
FEW = 8  # rows of a table that do

# Tables and formulas that are too wide are set smaller; what is still too wide breaks within words.
FIT = """async () => {
  if (window.MathJax) await MathJax.startup.promise;
  await document.fonts.ready;
  await Promise.all([...document.images].map(image => image.decode().catch(() => {})));
  const smaller = (node, width, least) => {
    const room = node.parentElement.clientWidth;
    if (width() <= room + 1) return;
    const size = parseFloat(getComputedStyle(node).fontSize);
    for (let part = 0.95; part > least && width() > room + 1; part -= 0.05) node.style.fontSize = `${part * size}px`;
    if (width() > room + 1) node.classList.add("too-wide");
  };
  for (const table of document.querySelectorAll("article table")) smaller(table, () => table.offsetWidth, 0.7);
  for (const formula of document.querySelectorAll("article mjx-container[display='true']")) {
    smaller(formula, () => formula.scrollWidth, 0.5);
  }
  return {
    raw: [...document.querySelectorAll("article .math")]
      .filter(e => !e.querySelector("mjx-container") || e.querySelector("mjx-merror, [data-mjx-error]"))
      .map(e => e.textContent.slice(0, 60)),
    missing: [...document.images].filter(i => !i.naturalWidth).map(i => i.src.slice(0, 200)),
    wide: [...document.querySelectorAll("article *")]
      .filter(e => e.getBoundingClientRect().right > document.documentElement.clientWidth + 1 && !e.closest("svg"))
      .map(e => `${e.tagName}.${e.className}: ${e.textContent.slice(0, 40)}`).slice(0, 5),
  };
}"""


@dataclass(frozen=True)
class Printable:
    """A page that a browser can print.

    Attributes:
        title: its heading.
        html: the whole document; it asks for files of the book, below :data:`ORIGIN`, and for nothing else.
        sections: name and heading of each section of the second level, in order.
    """

    title: str
    html: str
    sections: list[tuple[str, str]]


def printable(text: str, doc: str, part: str, address: str, docs: Collection[str]) -> Printable:
    """What is printed of a page.

    Args:
        text: the HTML of the built page.
        doc: its document, ``notebooks/02_vae``.
        part: the part of the book that stands above its title; may be empty.
        address: where the book is published.
        docs: the documents that are printed, too: links to them lead to their pages in the PDF, others to ``address``.

    Raises:
        ValueError: the page has no article, or no title.
    """
    soup = BeautifulSoup(text, "html.parser")
    article = soup.find("article")
    if not article or not article.h1:
        raise ValueError(f"{doc}.html: a page of the book has an article with a title")
    states = saved_states(soup)
    for node in article.select(DROPPED):
        node.decompose()
    published = f"{address}/{doc}.html"
    replace_quizzes(soup, article, published)
    replace_widgets(soup, article, published, states)
    replace_folds(soup, article, published)
    for node in article.select("script"):
        node.decompose()
    for link in article.select("a:has(> img)"):  # to the same picture
        link.unwrap()
    keep_together(article)
    link_pages(article, doc, address, docs)
    title = plain(article.h1)
    article.h1.insert_after(element(soup, "p", "address", link_to(soup, published)))
    if part:
        article.h1.insert_before(element(soup, "p", "part", part))
    sections = [(node.get("id") or node.parent.get("id", ""), plain(node)) for node in article.select("h2")]
    scripts = [str(s) for s in soup.select("head script") if "mathjax" in f"{s.get('src', '')}{s.string or ''}".lower()]
    # Behind every formula MathJax would lay its MathML, which cannot be seen; in a PDF it would be found and copied.
    # And it would draw round its letters, which some viewers make as thick as a pixel.
    if scripts:
        more = "MathJax.options.menuOptions.settings.assistiveMml = false; (MathJax.svg ??= {}).blacker = 0;"
        scripts.insert(1, f"<script>{more}</script>")
    # A browser writes down where a name lies in a PDF if something links to it.
    names = [node["id"] for node in article.select("[id]")]
    links = "".join(f'<a href="#{quote(name)}"></a>' for name in names)
    body = f"{article}<div hidden>{links}</div>"
    return Printable(title, document(title, body, f"{ORIGIN}{doc}.html", "".join(scripts)), sections)


def document(title: str, body: str, url: str, scripts: str = "") -> str:
    """A whole HTML document in the style of print. ``url``: where it lies, with which its links are completed."""
    faces = "".join(
        f"@font-face {{ font-family: '{family}'; font-weight: {weight}; font-style: {style}; "
        f"src: url('{FONT_URL}{file}.ttf') }}\n"
        for family, weight, style, file in (
            ("Book Serif", 400, "normal", "STIXGeneral"),
            ("Book Serif", 700, "normal", "STIXGeneralBol"),
            ("Book Serif", 400, "italic", "STIXGeneralItalic"),
            ("Book Serif", 700, "italic", "STIXGeneralBolIta"),
            ("Book Sans", 400, "normal", "DejaVuSans"),
            ("Book Sans", 700, "normal", "DejaVuSans-Bold"),
            ("Book Mono", 400, "normal", "DejaVuSansMono"),
            ("Book Mono", 700, "normal", "DejaVuSansMono-Bold"),
            ("Book Mono", 400, "italic", "DejaVuSansMono-Oblique"),
        )
    )
    return (
        f'<!DOCTYPE html>\n<html lang="en" data-theme="light"><head><meta charset="utf-8"><base href="{url}">'
        f"<title>{html.escape(title)}</title>"
        f'<link rel="stylesheet" href="{ORIGIN}_static/pygments.css">'
        f"<style>{faces}{STYLE.read_text(encoding='utf-8')}</style>{scripts}</head><body>{body}</body></html>"
    )


def element(soup: BeautifulSoup, name: str, classes: str, *content: str | Tag) -> Tag:
    """A new element."""
    node = soup.new_tag(name, attrs={"class": classes} if classes else {})
    node.extend(content)
    return node


def link_to(soup: BeautifulSoup, url: str, text: str = "") -> Tag:
    """A link to a published page; without a text it says where it leads, for those who read on paper."""
    node = soup.new_tag("a", href=url, attrs={"class": "published"})
    node.string = text or url.removeprefix("https://")
    return node


def plain(heading: Tag) -> str:
    """The words of a heading; of a formula in it, its letters."""
    words = re.sub(r"\\[()]|\\(?=[A-Za-z])|[{}]", "", heading.get_text())
    return " ".join(words.split())


def place(node: Tag, published: str) -> str:
    """The address on the published page that lies nearest to a node."""
    named = node if node.get("id") else node.find_parent(id=True)
    return f"{published}#{named['id']}" if named else published


def saved_states(soup: BeautifulSoup) -> dict[str, dict]:
    """The states of the page's widgets by their id."""
    saved = soup.select_one(STATE)
    return {name: entry["state"] for name, entry in json.loads(saved.string)["state"].items()} if saved else {}


def replace_widgets(soup: BeautifulSoup, article: Tag, published: str, states: dict[str, dict]) -> None:
    """Puts a figure in the place of each widget: its still picture, what that shows, and where the widget is live."""
    for view in article.select(VIEW):
        link = link_to(soup, place(view, published))
        caption = element(soup, "figcaption", "", element(soup, "span", "interactive", "Interactive: "), link)
        state = states.get(json.loads(view.string)["model_id"])
        figure = element(soup, "figure", "widget")
        words = (state or {}).get("title", "")
        if (still := view.find_previous_sibling()) and (picture := still.find("img")):
            figure.append(still.extract())
            words = f"{words}. {picture['alt']}" if words else picture["alt"]
        if words:
            caption.insert(0, f"{words} ")
        if state is None:
            caption.append(", with a kernel.")
        figure.append(caption)
        view.replace_with(figure)


def replace_quizzes(soup: BeautifulSoup, article: Tag, published: str) -> None:
    """Puts a list of its questions in the place of each quiz, with the choices in no telling order."""
    for cell in article.select(".tag_quiz"):
        found = re.search(r"var questions\w+=", script := "".join(s.string or "" for s in cell.select("script")))
        if not found:
            continue
        questions, _ = json.JSONDecoder().raw_decode(script, found.end())
        listed = element(soup, "ol", "quiz")
        for question in questions:
            item = element(soup, "li", "", *formulas(soup, question["question"]))
            if code := question.get("code"):
                item.append(element(soup, "pre", "", code))
            choices = sorted(str(a["answer"]) for a in question["answers"] if "answer" in a)
            if choices:
                item.append(
                    element(soup, "ul", "", *(element(soup, "li", "", *formulas(soup, text)) for text in choices))
                )
            listed.append(item)
        where = link_to(soup, place(cell, published))
        cell.replace_with(listed, element(soup, "p", "on-page", "Answers and feedback: ", where))


def formulas(soup: BeautifulSoup, text: str) -> list[str | Tag]:
    """A text with ``$formulas$`` as MathJax takes them."""
    pieces = re.split(r"\$(.+?)\$", text)
    return [element(soup, "span", "math", rf"\({piece}\)") if i % 2 else piece for i, piece in enumerate(pieces)]


def replace_folds(soup: BeautifulSoup, article: Tag, published: str) -> None:
    """Puts a line in the place of what the page folds away: its name, and a link to it.

    What a check says of a solution belongs to the solution, and has no line of its own.
    """
    for fold in article.select("details"):
        if fold.decomposed:  # inside of another
            continue
        label = fold.select_one(".collapsed, .sd-summary-text, .sd-summary-title") or fold.summary
        words = plain(label) if label else ""
        if "below-input" in fold.get("class", []):
            fold.decompose()
            continue
        words = "Code" if words == "Show code cell source" else words.removeprefix("Show ")
        line = element(soup, "p", "on-page", link_to(soup, place(fold, published), f"{words[:1].upper()}{words[1:]}"))
        line.append(" on the page")
        cell = fold.find_parent(class_="cell")
        if cell and fold.parent is cell:  # below what the cell shows, to which it belongs
            fold.decompose()
            before = cell.find_previous_sibling()
            last = before.select_one(":scope > .on-page:last-child") if before else None
            if cell.find(True) or not last or last.get_text() != line.get_text():  # not the same line twice
                cell.append(line)
        else:
            fold.replace_with(line)


def keep_together(article: Tag) -> None:
    """Marks what is short enough for one sheet."""
    for block in article.select("pre"):
        if block.get_text().count("\n") <= SHORT:
            block["class"] = [*block.get("class", []), "together"]
    for table in article.select("table"):
        if len(table.select("tr")) <= FEW:
            table["class"] = [*table.get("class", []), "together"]


def link_pages(article: Tag, doc: str, address: str, docs: Collection[str]) -> None:
    """Completes every link: to a page of the PDF below :data:`ORIGIN`, to another page of the book as published."""
    names = {node["id"] for node in article.select("[id]")}
    for link in article.select("a[href]"):
        url = urljoin(f"{ORIGIN}{doc}.html", link["href"])
        if not url.startswith(ORIGIN):
            continue
        path, name = urldefrag(url.removeprefix(ORIGIN))
        other = unquote(path).removesuffix(".html")
        if other == doc and unquote(name) in names:
            link["href"] = f"#{name}"
        elif other == doc or other not in docs:
            link["href"] = f"{address}/{path}" + (f"#{name}" if name else "")
        else:
            link["href"] = url


def asked_for(url: str) -> str | None:
    """The file of the book that a request below :data:`ORIGIN` asks for, as a relative path; None for another host."""
    return unquote(urlsplit(url).path).lstrip("/") if url.startswith(ORIGIN) else None
