"""Every page in headless Chromium, as a reader meets it: light, dark and on a phone, from a server and from disk."""

import functools
import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag, urljoin, urlsplit

import pytest
import yaml
from exercises import is_exercises
from generate import toc_chapters, toc_documents, toc_notebooks

ROOT = Path(__file__).resolve().parents[2]
DOCS = toc_documents(ROOT)
EXTRA = ["genindex", "search", "py-modindex"]
MODES = {"light": (1280, 900), "dark": (1280, 900), "phone": (360, 740)}

pytestmark = [pytest.mark.built, pytest.mark.browser, pytest.mark.timeout(120)]

# Waits for what is drawn late: mathematics, pictures that load when they come near.
SETTLED = """async () => {
  if (window.MathJax && MathJax.startup) await MathJax.startup.promise;
  for (const image of document.images) image.loading = "eager";
  await Promise.all([...document.images].map(image => image.decode().catch(() => {})));
}"""

# What sticks out on the right, other than inside something that scrolls by itself or that is folded away.
TOO_WIDE = """() => {
  const width = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth <= width) return [];
  const clipped = e => e && (getComputedStyle(e).overflowX !== "visible" || clipped(e.parentElement));
  return [...document.body.querySelectorAll("*")]
    .filter(e => e.getBoundingClientRect().right > width + 1 && !clipped(e.parentElement))
    .map(e => e.tagName + "." + e.className).slice(0, 10);
}"""

# Text and alt of each picture, whether its file arrived, and whether it is shown.
PICTURES = """() => [...document.images].map(i => ({
  alt: i.getAttribute("alt"), source: i.getAttribute("src"), arrived: i.naturalWidth > 0,
  shown: i.getClientRects().length > 0, classes: i.className,
}))"""

# Formulas that are much wider than their place; a block of cases cannot be broken, and scrolls by a little.
CUT_MATHS = """() => [...document.querySelectorAll("article mjx-container")]
  .filter(e => e.clientWidth > 0 && e.scrollWidth > 1.2 * e.clientWidth)
  .map(e => (e.querySelector("mjx-assistive-mml") || e).textContent.slice(0, 60))"""

# Formulas that are broken into pieces, one below the other, in a place that is wide enough for more.
SHATTERED_MATHS = """() => [...document.querySelectorAll("article mjx-container[display='true']")]
  .filter(e => e.clientHeight > 300)
  .map(e => (e.querySelector("mjx-assistive-mml") || e).textContent.slice(0, 60))"""

RAW_MATHS = r"""() => [...document.querySelectorAll(".math")]
  .filter(e => !e.querySelector("mjx-container") || e.querySelector("mjx-merror, [data-mjx-error]"))
  .map(e => e.textContent.slice(0, 60))"""


@pytest.fixture(scope="session")
def context(browser):
    """A window of the mode's size, kept for all tests: what a page has loaded once, the next has at hand."""

    @functools.cache
    def make(mode: str, javascript: bool):
        width, height = MODES[mode]
        return browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if mode == "dark" else "light",
            java_script_enabled=javascript,
        )

    return make


@pytest.fixture
def visit(context):
    """Opens pages and collects what went wrong: messages in the console, requests to other hosts, failed requests."""
    pages = []

    def open_page(url: str, mode: str = "light", javascript: bool = True):
        page = context(mode, javascript).new_page()
        pages.append(page)
        page.problems = []
        home = urlsplit(url)
        page.on("console", lambda m: m.type in ("error", "warning") and page.problems.append(f"console: {m.text}"))
        page.on("pageerror", lambda error: page.problems.append(f"error: {error}"))

        def check(route):
            address = urlsplit(route.request.url)
            if address.scheme in ("data", "blob") or (address.scheme, address.netloc) == (home.scheme, home.netloc):
                route.continue_()
            else:
                page.problems.append(f"asks another host: {route.request.url}")
                route.abort()

        page.on("response", lambda r: r.status >= 400 and page.problems.append(f"{r.status}: {r.url}"))
        page.route("**/*", check)
        page.goto(url)
        if javascript:
            page.evaluate(SETTLED)
        return page

    yield open_page
    for page in pages:
        page.close()


def assert_well(page, mode: str) -> None:
    assert page.problems == []
    pictures = page.evaluate(PICTURES)
    for picture in pictures:
        assert picture["arrived"], picture
        assert picture["alt"] is not None, picture
        assert not re.search(r"\.(png|jpe?g|svg|gif)$|^_images/", picture["alt"]), picture
        if "_images/" in picture["source"]:
            assert len(picture["alt"].split()) >= 3, picture
    other = "only-light" if mode == "dark" else "only-dark"
    assert not [p for p in pictures if other in p["classes"] and p["shown"]]
    assert page.evaluate(RAW_MATHS) == []
    assert page.evaluate(TOO_WIDE) == []


def switch(page, mode: str) -> None:
    """To another mode without loading anew, as when a reader's system turns dark or a window is made narrow."""
    width, height = MODES[mode]
    page.set_viewport_size({"width": width, "height": height})
    page.emulate_media(color_scheme="dark" if mode == "dark" else "light")
    theme = "dark" if mode == "dark" else "light"
    page.wait_for_function("theme => document.documentElement.dataset.theme === theme", arg=theme, polling=50)
    page.evaluate(SETTLED)


def assert_figures_open_at_full_size(page) -> None:
    """Each is a link to its file, with the pixels that a narrow column hides; no link is left without a picture."""
    figures = page.evaluate("""() => [...document.querySelectorAll("div.cell_output img[src*=_images]")].map(i => ({
      source: i.src, opens: i.closest("a") && i.closest("a").href, wide: i.naturalWidth >= i.clientWidth,
      left_over: i.clientWidth === 0 && i.closest("a").getClientRects().length > 0}))""")
    for figure in figures:
        assert figure["opens"] == figure["source"], figure
        assert figure["wide"], figure
        assert not figure["left_over"], figure


def assert_is_a_chapter(page) -> None:
    """Rendered figures, light and dark, with visible captions, and a quiz."""
    assert page.locator("figure img.only-light").count() >= 1
    assert page.locator("figure img.only-light").count() == page.locator("figure img.only-dark").count()
    captions = page.locator("figure figcaption")
    assert captions.count() >= 1
    assert all(caption.is_visible() for caption in captions.all())
    assert page.locator(".Quiz").count() >= 1


def assert_colab_opens_the_paired_notebook(page, doc: str) -> None:
    url = yaml.safe_load((ROOT / "_config.yml").read_text())["repository"]["url"]
    owner_and_name = url.removeprefix("https://github.com/")
    links = page.locator("a[href^='https://colab']").evaluate_all("links => links.map(a => a.href)")
    assert set(links) == {f"https://colab.research.google.com/github/{owner_and_name}/blob/main/{doc}.ipynb"}
    assert (ROOT / f"{doc}.ipynb").is_file()


def assert_a_control_that_needs_a_kernel_says_so(page) -> None:
    views = page.locator("script[type='application/vnd.jupyter.widget-view+json']").count()
    notices = page.locator(".needs-kernel[role=note]")
    assert notices.count() + page.locator(".live-widget").count() == views
    for notice in notices.all():
        assert "This control needs a kernel: open the notebook in Colab or JupyterLab" in notice.inner_text()
        assert notice.locator("a").get_attribute("href").startswith("https://colab.research.google.com/")


def assert_an_exercise_shows_its_stub_and_keeps_its_solution_behind_a_click(page) -> None:
    assert page.get_by_text("raise NotImplementedError").first.is_visible()
    solutions = page.locator("details:has(summary:has-text('Show the solution'))")
    assert solutions.count() >= 4
    for solution in solutions.all():
        code = solution.locator("pre").first
        assert not code.is_visible()
        solution.locator("summary").click()
        assert code.is_visible()
        assert "raise NotImplementedError" not in code.inner_text()
    assert page.get_by_text("Correct. ").count() >= 4
    assert page.get_by_text("BEGIN HIDDEN").count() == 0


@pytest.mark.parametrize("doc", [*DOCS, *EXTRA])
def test_page(visit, site, doc):
    """All that is asked of one page, on one opening of it: setting its formulas takes longer than all the rest."""
    page = visit(f"{site}/{doc}.html")
    if doc in DOCS:
        page.keyboard.press("Tab")
        assert "skip" in page.evaluate("document.activeElement.textContent").lower()
    assert page.locator("h1").count() >= 1
    for mode in MODES:
        switch(page, mode)
        assert_well(page, mode)
    switch(page, "light")
    assert page.evaluate(CUT_MATHS) == []
    if doc in toc_chapters(ROOT):
        assert_is_a_chapter(page)
    if doc in toc_notebooks(ROOT):
        assert_figures_open_at_full_size(page)
        assert_colab_opens_the_paired_notebook(page, doc)
        assert_a_control_that_needs_a_kernel_says_so(page)
        if is_exercises(doc):
            assert_an_exercise_shows_its_stub_and_keeps_its_solution_behind_a_click(page)


def test_there_is_a_control_that_needs_a_kernel(visit, site, html):
    controls = (d for d in toc_notebooks(ROOT) if "widget-view+json" in (html / f"{d}.html").read_text())
    assert any(visit(f"{site}/{doc}.html").locator(".needs-kernel[role=note]").count() for doc in controls)


@pytest.mark.parametrize("doc", [*toc_chapters(ROOT), "book/equations", "book/mathematics"])
def test_no_formula_is_cut_on_a_phone(visit, site, doc):
    page = visit(f"{site}/{doc}.html", "phone")
    assert page.locator("article mjx-container").count()
    assert page.evaluate(SHATTERED_MATHS) == []
    assert page.evaluate(CUT_MATHS) == []


@pytest.mark.parametrize("mode", ["dark", "phone"])
@pytest.mark.parametrize("doc", [DOCS[0], toc_chapters(ROOT)[0]])
def test_a_page_that_is_opened_in_the_dark_or_on_a_phone(visit, site, doc, mode):
    page = visit(f"{site}/{doc}.html", mode)
    assert page.evaluate("document.documentElement.dataset.theme") == ("dark" if mode == "dark" else "light")
    assert_well(page, mode)


@pytest.mark.parametrize("doc", [DOCS[0], *toc_notebooks(ROOT)])
def test_page_from_disk(visit, html, doc):
    page = visit((html / f"{doc}.html").as_uri())
    assert_well(page, "light")


@pytest.mark.parametrize("place", ["server", "disk"])
def test_search_finds_without_another_host(visit, site, html, place):
    home = site if place == "server" else html.as_uri()
    page = visit(f"{home}/search.html?q=dermoscopy")
    page.wait_for_selector("#search-results li a", timeout=20_000)
    assert "glossary" in page.locator("#search-results li a").first.get_attribute("href")
    assert page.problems == []


def test_a_page_can_be_read_without_javascript(visit, site):
    page = visit(f"{site}/{toc_notebooks(ROOT)[0]}.html", javascript=False)
    assert page.locator("article h1").inner_text()
    assert page.locator("figure img.only-light").first.is_visible()
    assert not page.locator("figure img.only-dark").first.is_visible()


def test_the_checks_see_what_they_should(visit, tmp_path):
    (tmp_path / "page.html").write_text(
        "<!doctype html><html data-theme='light'><h1>x</h1><img src='figure.png' alt='figure.png'>"
        "<script src='https://example.org/x.js'></script><div style='width: 2000px'>wide</div>"
        "<span class='math'>\\(x\\)</span></html>"
    )
    page = visit((tmp_path / "page.html").as_uri())
    assert any("asks another host: https://example.org/x.js" in p for p in page.problems)
    assert page.evaluate(TOO_WIDE) == ["DIV."]
    assert page.evaluate(RAW_MATHS) == ["\\(x\\)"]
    assert page.evaluate(PICTURES)[0]["arrived"] is False
    with pytest.raises(AssertionError):
        assert_well(page, "light")


# --------------------------------------------------------------------------------- links, without a browser


class Tags(HTMLParser):
    """The tags of a page, with their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict]] = []
        self.feed(text)

    def handle_starttag(self, tag, attributes) -> None:
        self.found.append((tag, dict(attributes)))


@functools.cache
def tags(path: Path) -> list[tuple[str, dict]]:
    return Tags(path.read_text()).found


def dead_links(folder: Path) -> list[str]:
    """The links between pages whose file or whose place within it does not exist."""
    pages = [p for p in folder.rglob("*.html") if "_static" not in p.relative_to(folder).parts]
    places = {path: {attributes.get("id", "") for _, attributes in tags(path)} | {""} for path in pages}
    found = []
    for path in pages:
        for tag, attributes in tags(path):
            target = attributes.get({"a": "href", "link": "href", "script": "src", "img": "src"}.get(tag))
            if target is None or urlsplit(target).scheme or target.startswith("//"):
                continue
            address, fragment = urldefrag(urljoin(path.as_uri(), target))
            file = Path(unquote(urlsplit(address).path))
            if not file.is_file():
                found.append(f"{path.relative_to(folder)} -> {target}: no such file")
            elif file in places and fragment and unquote(fragment) not in places[file]:
                found.append(f"{path.relative_to(folder)} -> {target}: no such place")
    return sorted(set(found))


def test_links_between_pages_resolve(html):
    assert dead_links(html) == []


def test_dead_links_are_seen(tmp_path):
    (tmp_path / "a.html").write_text("<a href='b.html#here'>1</a><a href='b.html#gone'>2</a><a href='c.html'>3</a>")
    (tmp_path / "b.html").write_text("<p id='here'>x</p>")
    assert dead_links(tmp_path) == ["a.html -> b.html#gone: no such place", "a.html -> c.html: no such file"]


def test_no_page_loads_from_another_host(html):
    seen = 0
    for path in (p for p in html.rglob("*.html") if "_static" not in p.relative_to(html).parts):
        for tag, attributes in tags(path):
            if tag in ("script", "img", "iframe"):
                target = attributes.get("src")
            elif tag == "link" and attributes.get("rel") in ("stylesheet", "preload"):
                target = attributes.get("href")
            else:
                continue
            seen += 1
            assert target is None or urlsplit(target).scheme in ("", "data"), f"{path}: {target}"
    assert seen > 100


def test_terms_link_to_the_glossary(html):
    terms = {a["id"] for tag, a in tags(html / "book/glossary.html") if tag == "dt" and "id" in a}
    links = (a.get("href") or "" for path in html.rglob("*.html") for tag, a in tags(path) if tag == "a")
    linked = {link.split("#")[1] for link in links if "#term-" in link}
    assert len(terms) >= 30
    assert linked
    assert linked <= terms
