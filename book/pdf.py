"""Writes a PDF of the built book: its pages in order, with still pictures in the place of explorers.

    python book/pdf.py [--paper a4] [--api] [--only SLUG ...]

Headless Chromium prints what :mod:`printable` makes of each page, one after the other, since a page's first number is
known when all before it are printed; pypdf puts them together. A link to a page that is in the PDF leads there, any
other to the published book. The result is ``_build/pdf/medlatent.pdf``.
"""

import argparse
import html
import io
import mimetypes
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urldefrag

import yaml
from address import forms
from alone import alone
from browser import ADVICE, FLAGS, find_chromium
from common import BuildError, write
from generate import named
from PIL import Image
from playwright.sync_api import Browser, sync_playwright
from playwright.sync_api import Error as PlaywrightError
from printable import FIT, FONTS, ORIGIN, Printable, asked_for, document, printable
from pypdf import PageObject, PdfReader, PdfWriter
from pypdf.generic import (
    ArrayObject,
    BooleanObject,
    DictionaryObject,
    Fit,
    NameObject,
    NullObject,
    NumberObject,
    StreamObject,
    TextStringObject,
)

import medlatent

ROOT = Path(__file__).resolve().parents[1]
PAPERS = {"a4": (210.0, 297.0), "letter": (215.9, 279.4)}  # mm
MARGIN = 20.0  # mm, left and right
OLDEST = 131  # of Chromium: the first that numbers pages from a style sheet
PATIENCE = 300_000  # ms for one page; a machine may have much else to do
COVER = "cover"


@dataclass(frozen=True)
class Leaf:
    """A document of the table of contents.

    Attributes:
        doc: ``notebooks/02_vae``.
        part: the caption of its part; empty for the first page of the book.
        level: 0 for a chapter, 1 for a section below one.
    """

    doc: str
    part: str
    level: int


@dataclass(frozen=True)
class Sheets:
    """What was printed of one document. ``first``: the number of its first sheet."""

    leaf: Leaf
    page: Printable
    pdf: bytes
    first: int


def leaves(root: Path, api: bool = False) -> list[Leaf]:
    """What ``_toc.yml`` lists, in reading order; the API reference only if asked for."""
    toc = yaml.safe_load((root / "_toc.yml").read_text(encoding="utf-8"))

    def walk(entries: list[dict], part: str, level: int) -> Iterator[Leaf]:
        for entry in entries:
            if entry["file"] == "book/api" and not api:
                continue
            yield Leaf(entry["file"], part, level)
            yield from walk(entry.get("sections", []), part, level + 1)

    parts = toc.get("parts", [{"chapters": toc.get("chapters", [])}])
    found = [leaf for part in parts for leaf in walk(part.get("chapters", []), part.get("caption", ""), 0)]
    return [Leaf(toc["root"], "", 0), *found]


def chosen(every: list[Leaf], names: list[str]) -> list[Leaf]:
    """The leaves of these names, ``02_vae`` or ``vae``, in the order of the book.

    Raises:
        BuildError: there is none of such a name; the message lists those there are.
    """
    docs = {named([leaf.doc for leaf in every], name) for name in names}
    return [leaf for leaf in every if leaf.doc in docs]


def read_pages(root: Path, found: list[Leaf]) -> dict[str, str]:
    """The HTML of the built pages.

    Raises:
        BuildError: the book is not built, or lacks a page.
    """
    folder = root / "_build/html"
    if not (folder / "index.html").is_file():
        raise BuildError("the book is not built: run make book")
    if missing := [leaf.doc for leaf in found if not (folder / f"{leaf.doc}.html").is_file()]:
        raise BuildError(f"the built book lacks {', '.join(missing)}: run make book")
    return {leaf.doc: (folder / f"{leaf.doc}.html").read_text(encoding="utf-8") for leaf in found}


def sheet_rules(paper: str, foot: str, first: int, roman: bool = False) -> str:
    """The style of the sheets: their size, and below each the title of the page and the number of the sheet."""
    width, height = PAPERS[paper]
    font = "color: #555; font: 8pt 'Book Sans', sans-serif; vertical-align: top; padding-top: 4mm"
    title = "".join(f"\\{ord(c):x} " if not c.isalnum() or ord(c) > 126 else c for c in foot)
    return (
        f"html {{ counter-reset: page {first - 1} }}\n"
        f"@page {{ size: {width}mm {height}mm; margin: 18mm {MARGIN}mm 20mm;\n"
        f"  @bottom-left {{ content: '{title}'; width: 85%; {font} }}\n"
        f"  @bottom-right {{ content: counter(page, {'lower-roman' if roman else 'decimal'}); {font} }}\n}}\n"
    )


@contextmanager
def running(chromium: str | None) -> Iterator[Browser]:
    """Starts the browser that prints.

    Raises:
        BuildError: there is none, or it is too old.
    """
    if not chromium:
        raise BuildError(ADVICE)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        if int(browser.version.split(".")[0]) < OLDEST:
            raise BuildError(f"{chromium} is version {browser.version}; the PDF needs {OLDEST} or newer")
        yield browser
        browser.close()


@contextmanager
def press(folder: Path, browser: Browser, paper: str) -> Iterator[Callable[..., bytes]]:
    """Yields the function that prints documents: ``pull(doc, html, rules)``.

    Whatever a document asks for comes from ``folder``, the built book. Nothing comes from a network.
    """
    pages: dict[str, str] = {}
    problems: list[str] = []

    def answer(route) -> None:
        url = route.request.url
        path = asked_for(url)
        file = FONTS / Path(path).name if path and path.startswith("_fonts/") else folder / (path or "")
        if path is None:
            problems.append(f"asks another host: {url}")
            route.abort()
        elif path in pages:
            route.fulfill(body=pages[path], content_type="text/html; charset=utf-8")
        elif file.is_file() and (file.parent == FONTS or file.resolve().is_relative_to(folder.resolve())):
            kind = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
            route.fulfill(body=file.read_bytes(), content_type=kind, headers={"Access-Control-Allow-Origin": "*"})
        else:
            problems.append(f"asks for {path}, which the book does not have")
            route.abort()

    width, height = ((mm * 96 / 25.4) for mm in (PAPERS[paper][0] - 2 * MARGIN, PAPERS[paper][1]))
    context = browser.new_context(viewport={"width": int(width), "height": int(height)}, color_scheme="light")
    context.set_default_timeout(PATIENCE)
    context.route("**/*", answer)

    def pull(doc: str, text: str, rules: str) -> bytes:
        pages[f"{doc}.html"] = text
        problems.clear()
        page = context.new_page()
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.emulate_media(media="print", color_scheme="light")
        try:
            page.goto(f"{ORIGIN}{doc}.html")
            page.add_style_tag(content=rules)
            seen = page.evaluate(FIT)
            problems.extend(f"{kind}: {found}" for kind in ("raw", "missing", "wide") for found in seen[kind])
            if problems:
                raise BuildError(f"{doc} cannot be printed as it is: " + "; ".join(problems))
            return page.pdf(prefer_css_page_size=True, print_background=True)
        except PlaywrightError as error:
            raise BuildError(f"{doc} was not printed: {error}") from error
        finally:
            page.close()
            del pages[f"{doc}.html"]

    try:
        yield pull
    finally:
        context.close()


def cover(config: dict, address: str, printed: list[Sheets]) -> str:
    """The title page and the contents, with the number of each page."""
    entry, part = [], ""
    for sheets in printed:
        leaf = sheets.leaf
        if leaf.part != part:
            part = leaf.part
            entry.append(f'<p class="part">{html.escape(part)}</p>')
        entry.append(
            f'<p class="{"section" if leaf.level else "chapter"}"><a href="{ORIGIN}{leaf.doc}.html">'
            f'<span>{html.escape(sheets.page.title)}</span><span class="number">{sheets.first}</span></a></p>'
        )
    imprint = [config["author"], f"Version {medlatent.__version__}", config.get("html", {}).get("extra_footer", "")]
    lines = "".join(f'<p class="imprint">{html.escape(line)}</p>' for line in imprint if line)
    body = (
        f'<div class="title-page"><h1>{html.escape(config["title"])}</h1>'
        f'<p class="subtitle">{html.escape(printed[0].page.title)}</p>{lines}'
        f'<p class="imprint"><a href="{address}">{address.removeprefix("https://")}</a></p>'
        '<p class="imprint">The published book is live: its explorers decode in the browser, its code unfolds, '
        "its notebooks run. Links lead to it.</p></div>"
        f'<article><h1>Contents</h1><div class="contents">{"".join(entry)}</div></article>'
    )
    return document(config["title"], body, f"{ORIGIN}{COVER}.html")


def images(writer: PdfWriter) -> Iterator[StreamObject]:
    """The pictures of all sheets; one that stands on several comes as often."""
    for page in writer.pages:
        for thing in page["/Resources"].get("/XObject", {}).values():
            if (found := thing.get_object()).get("/Subtype") == "/Image":
                yield found


def compress(image: StreamObject) -> None:
    """Stores a picture in colour as PNG does, each row as its difference from the last, which Chromium does not do.

    No pixel changes; the PDF is smaller by a third.
    """
    size, packed = (image["/Width"], image["/Height"]), io.BytesIO()
    if image.get("/Filter") != "/FlateDecode" or "/DecodeParms" in image or image["/BitsPerComponent"] != 8:
        return
    if len(pixels := image.get_data()) != 3 * size[0] * size[1]:
        return
    Image.frombytes("RGB", size, pixels).save(packed, "PNG")
    png, at, rows = packed.getvalue(), 8, b""
    while at < len(png):  # the chunks behind the signature: length, kind, content, checksum
        length = int.from_bytes(png[at : at + 4])
        if png[at + 4 : at + 8] == b"IDAT":
            rows += png[at + 8 : at + 8 + length]
        at += 12 + length
    parameters = {"/Predictor": 15, "/Colors": 3, "/BitsPerComponent": 8, "/Columns": size[0]}
    image[NameObject("/DecodeParms")] = DictionaryObject(
        {NameObject(name): NumberObject(value) for name, value in parameters.items()}
    )
    image[NameObject("/Length")] = NumberObject(len(rows))
    image._data = rows


def bind(front: bytes, printed: list[Sheets], config: dict) -> PdfWriter:
    """Puts the printed documents together: links, outline, numbers of pages, what the PDF says of itself."""
    writer = PdfWriter()
    starts: dict[str, int] = {}  # of a document: the index of its first sheet
    names: dict[tuple[str, str], tuple[PageObject, float]] = {}  # of a document, a name: sheet and height
    owners: list[str] = []  # of each sheet its document
    for doc, pdf in [(COVER, front), *((sheets.leaf.doc, sheets.pdf) for sheets in printed)]:
        reader = PdfReader(io.BytesIO(pdf))
        starts[doc] = len(writer.pages)
        for page in reader.pages:
            writer.add_page(page)
            owners.append(doc)
        for name, there in reader.named_destinations.items():
            sheet = writer.pages[starts[doc] + reader.get_destination_page_number(there)]
            names[doc, unquote(name.lstrip("/"))] = sheet, float(there.top or 0)

    def goal(doc: str, name: str) -> tuple[PageObject, float]:
        first = writer.pages[starts[doc]]
        return names.get((doc, name), (first, float(first.mediabox.top)))

    for page, owner in zip(writer.pages, owners, strict=True):
        for link in (annotation.get_object() for annotation in page.get("/Annots", [])):
            url = str(link.get("/A", {}).get("/URI", ""))
            if "/Dest" in link:
                doc, name = owner, unquote(str(link["/Dest"]).lstrip("/"))
            elif url.startswith(ORIGIN):
                path, name = urldefrag(url.removeprefix(ORIGIN))
                doc, name = path.removesuffix(".html"), unquote(name)
            else:
                continue
            sheet, top = goal(doc, name)
            link.pop("/A", None)
            where = [sheet.indirect_reference, NameObject("/XYZ"), NullObject(), NumberObject(round(top)), NullObject()]
            link[NameObject("/Dest")] = ArrayObject(where)

    for image in {image.indirect_reference.idnum: image for image in images(writer)}.values():
        compress(image)
    part, chapter, below = "", None, None
    for sheets in printed:
        leaf, index = sheets.leaf, starts[sheets.leaf.doc]
        if leaf.part != part:
            part, below = leaf.part, writer.add_outline_item(title=leaf.part, page_number=index, bold=True)
        above = chapter if leaf.level else below
        item = writer.add_outline_item(title=sheets.page.title, page_number=index, parent=above, is_open=False)
        chapter = chapter if leaf.level else item
        for name, title in sheets.page.sections:
            sheet, top = goal(leaf.doc, name)
            goes = {"page_number": sheet.page_number, "fit": Fit.xyz(top=top)}
            writer.add_outline_item(title=title, parent=item, is_open=False, **goes)

    begin = starts[printed[0].leaf.doc]
    writer.set_page_label(0, begin - 1, "/r", start=1)
    writer.set_page_label(begin, len(writer.pages) - 1, "/D", start=printed[0].first)
    writer.page_mode = "/UseOutlines"
    writer.root_object[NameObject("/Lang")] = TextStringObject(config["sphinx"]["config"]["language"])
    shown = DictionaryObject({NameObject("/DisplayDocTitle"): BooleanObject(True)})
    writer.root_object[NameObject("/ViewerPreferences")] = shown
    writer.add_metadata({"/Title": config["title"], "/Author": config["author"], "/Subject": printed[0].page.title})
    return writer


def write_pdf(root: Path, found: list[Leaf], target: Path, browser: Browser, paper: str = "a4") -> int:
    """Writes the PDF of these documents.

    Args:
        root: the folder with ``_config.yml`` and the built book in ``_build/html``.
        found: at least one document.
        target: the file.
        browser: what prints it.
        paper: ``"a4"`` or ``"letter"``.

    Returns:
        The number of its sheets.

    Raises:
        BuildError: the book is not built or lacks a page, or a page cannot be printed as it is.
    """
    texts = read_pages(root, found)
    config = yaml.safe_load((root / "_config.yml").read_text(encoding="utf-8"))
    address = forms(config["repository"]["url"].rstrip("/"))[2]
    printed: list[Sheets] = []
    with press(root / "_build/html", browser, paper) as pull:
        number = 1
        for leaf in found:
            page = printable(texts[leaf.doc], leaf.doc, leaf.part, address, texts)
            pdf = pull(leaf.doc, page.html, sheet_rules(paper, page.title, number))
            printed.append(Sheets(leaf, page, pdf, number))
            count = len(PdfReader(io.BytesIO(pdf)).pages)
            print(f"{leaf.doc:<40} {count:>3} pages", flush=True)
            number += count
        front = cover(config, address, printed)
        front_pdf = pull(COVER, front, sheet_rules(paper, "", 1, roman=True))
    writer = bind(front_pdf, printed, config)
    file = io.BytesIO()
    writer.write(file)
    write(target, file.getvalue())
    return len(writer.pages)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--paper", default="a4", choices=PAPERS, help="the size of its sheets (default: a4)")
    parser.add_argument("--api", action="store_true", help="with the API reference")
    parser.add_argument("--only", nargs="+", default=[], metavar="SLUG", help="of these pages alone")
    parser.add_argument("--root", type=Path, default=ROOT, help="the folder with _toc.yml")
    return parser.parse_args()


def main() -> None:
    args, start = arguments(), time.perf_counter()
    root = args.root.resolve()
    every = leaves(root, args.api)
    found = chosen(every, args.only) if args.only else every
    target = root / "_build/pdf/medlatent.pdf"
    with alone(root), running(find_chromium()) as browser:
        count = write_pdf(root, found, target, browser, args.paper)
    size, seconds = target.stat().st_size / 1e6, time.perf_counter() - start
    print(f"The PDF is written ({count} pages, {size:.1f} MB, {seconds:.0f} s): {target.relative_to(root)}")


if __name__ == "__main__":
    try:
        main()
    except BuildError as error:
        sys.exit(f"\nThe PDF was not written.\n\n{error}")
