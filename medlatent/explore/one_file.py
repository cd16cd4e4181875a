"""A widget as one file that needs nothing else: no kernel, no network, no other file."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import os
import re
import warnings
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import anywidget
import traitlets

from .. import __version__
from ..files import claim, plain, replacing
from .figures import DARK_MIME

if TYPE_CHECKING:
    from ..data import Card, ImageSet

WEB = Path(__file__).parent / "web"
NOTICE = (
    "This is a still picture. In a browser that runs scripts the live one takes its place by itself: open the file "
    "there, not in the preview of a mail program. If it does not come, the file is not complete: ask for it again."
)
ELSEWHERE = (
    "the page of ipywidgets' own embedding loads its scripts from cdn.jsdelivr.net and cdnjs.cloudflare.com, and is "
    "blank where it cannot; {0}.save writes one file that needs neither"
)
# Each of these could end the element that the text stands in, begin another one, or end a line of JavaScript.
ESCAPES = {ord(character): f"\\u{ord(character):04x}" for character in "<>&\u2028\u2029"}


class Saved(anywidget.AnyWidget):
    """What the widgets of this package have in common: each can become one file that lives by itself."""

    title = traitlets.Unicode().tag(sync=True)
    untitled = "A widget"  # what a page is called whose widget has no title

    def save(
        self,
        path: str | os.PathLike,
        data: ImageSet | Card | None = None,
        about: str = "",
        overwrite: bool = False,
    ) -> Path:
        """Writes the widget as it is now to one HTML file, live and complete, and prints how large it is.

        The file needs no kernel, no network and no other file, and asks for none: it can be opened from a disk or
        from an attachment of a mail, and stays live. Where no scripts run, a still picture stands there. It
        says what it is: the title, the model, the data and their licence, and the version of medlatent. Its weights
        have 16 bits, and the page checks that everything is as it was saved. It is written whole or not at all.

        **Images of the set that the page shows are in the file**, all their pixels, as are their names, and the codes
        and labels of the points of a map: whoever gets the file has them. Of images of patients, pass on only what
        their licence and their consent allow.

        Args:
            path: of the file, which ends in ``.html``, in a folder that is there.
            data: the :class:`~medlatent.data.ImageSet` that the images are of, and that the model was trained on, or
                its :class:`~medlatent.data.Card`: the page names it, its licence and its citation. Without it the page
                says that they are not stated.
            about: a sentence or two of your own below the title, such as how the model was trained.
            overwrite: whether a file of this name may be replaced.

        Returns:
            The path of the file.

        Raises:
            ValueError: the path does not end in ``.html``; or a number of the widget is not finite, and the message
                names the field.
            TypeError: ``data`` is neither an image set nor a card.
            FileNotFoundError: the folder is not there.
            FileExistsError: there is a file of this name, and ``overwrite`` is false; or a folder of this name.
            OSError: the file cannot be written; or another process is at it, which the message names.
        """
        path = Path(path)
        _check_place(path, overwrite)
        content = page(self, data, about).encode("utf-8", "xmlcharrefreplace")  # half a surrogate pair is no UTF-8
        with claim(path):
            _check_place(path, overwrite)  # somebody may have been faster
            with replacing(path) as temporary:
                temporary.write_bytes(content)
        size = len(content)
        print(f"{path}: {f'{size / 1e6:.1f} MB' if size >= 1e6 else f'{size / 1e3:.0f} kB'}")
        return path

    def get_state(self, key: str | Iterable[str] | None = None, drop_defaults: bool = False) -> dict:
        """All of the state, or of what ``key`` names.

        Defaults are not left out, whoever asks for that: the script and the style are some, and the page of
        ``ipywidgets.embed`` was blank without them.
        """
        return super().get_state(key)

    def _get_embed_state(self, drop_defaults: bool = False) -> dict:
        """What ``ipywidgets.embed`` puts into its page, which may be blank for the one who gets it: that is said."""
        warnings.warn(ELSEWHERE.format(type(self).__name__), UserWarning, stacklevel=2)
        return super()._get_embed_state(drop_defaults)

    def _facts(self) -> dict[str, str]:
        """What a page says of this widget beyond what it says of each, by what it is called."""
        return {}


def page(widget: Saved, data: ImageSet | Card | None = None, about: str = "") -> str:
    """The whole file of a widget, as :meth:`Saved.save` writes it.

    Raises:
        ValueError: a number of the widget is not finite; the message names the field.
        TypeError: ``data`` is neither an image set nor a card.
    """
    facts = widget._facts()
    known = {"Data": "not stated", "Licence of the data": "not stated"} if data is None else _of_the_data(data)
    facts |= known | {"Made with": f"medlatent {__version__}"}
    heading = widget.title.strip() or widget.untitled
    script = "\n".join([widget._esm, (WEB / "page.js").read_text("utf-8")])
    style = "\n".join([widget._css, (WEB / "page.css").read_text("utf-8")])
    for name, text in (("script", script), ("style", style)):
        # These are the package's own: they are looked at rather than escaped, for which they have no one rule.
        if found := re.search(rf"</{name}|<!--", text, re.IGNORECASE):
            raise ValueError(f"the {name} of {type(widget).__name__} has {found[0]!r}, which would end it in a page")
    saved = json_in_html(_carried(widget))
    said = html.escape
    lines = [
        "<!doctype html>",
        '<html lang="en">',
        "<head>",
        '<meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{said(_policy(script))}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<meta name="color-scheme" content="light dark">',
        f'<meta name="generator" content="medlatent {said(__version__)}">',
        f"<title>{said(heading)}</title>",
        '<link rel="icon" href="data:,">',  # or a browser would ask for one
        f"<style>{style}</style>",
        "</head>",
        "<body>",
        "<main>",
        f"<h1>{said(heading)}</h1>",
        *([f"<p>{said(about.strip())}</p>"] if about.strip() else []),
        '<div id="live"></div>',
        f'<p id="notice">{said(NOTICE)}</p>',
        _still(widget),
        "<h2>About this file</h2>",
        "<dl>",
        *(f"<dt>{said(name)}</dt><dd>{said(text)}</dd>" for name, text in facts.items()),
        "</dl>",
        "</main>",
        f'<script type="application/json" id="saved" data-crc32="{zlib.crc32(saved.encode())}">{saved}</script>',
        f'<script type="module">{script}</script>',
        "</body>",
        "</html>",
    ]
    return "\n".join(lines) + "\n"


def json_in_html(value: object) -> str:
    """JSON in ASCII that may stand in any element of a page: what HTML or JavaScript would take for its own is escaped.

    Raises:
        ValueError: a number is not finite.
        TypeError: something in it is no JSON.
    """
    # Outside of its strings JSON has none of these characters, and in them an escape means the same.
    return json.dumps(value, allow_nan=False, separators=(",", ":")).translate(ESCAPES)


def _check_place(path: Path, overwrite: bool) -> None:
    if path.suffix.lower() != ".html":
        raise ValueError(f"path: {path} must end in .html, by which browsers and mail programs know what it is")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"{path.parent}: there is no such folder; make it, or choose another path")
    if path.is_dir():
        raise FileExistsError(f"{path} is a folder: choose another path")
    if path.exists() and not overwrite:
        raise FileExistsError(f"{path} exists: choose another path, or pass overwrite=True")


def _of_the_data(data: ImageSet | Card) -> Mapping[str, str]:
    card = getattr(data, "card", data)
    fields = [getattr(card, name, None) for name in ("name", "licence", "citation")]
    if not all(isinstance(field, str) for field in fields):
        raise TypeError(f"data: expected an ImageSet or its card, got {type(data).__name__}")
    return dict(zip(("Data", "Licence of the data", "Citation"), (f or "not stated" for f in fields), strict=True))


def _carried(widget: Saved) -> dict[str, dict]:
    """The widget's own state, ``state`` as JSON has it and ``bytes`` in base64."""
    names = [name for name in widget.keys if not anywidget.AnyWidget.class_traits().get(name) and name[0] != "_"]
    values = {name: plain(value) for name, value in widget.get_state(sorted(names)).items()}
    for name, value in values.items():
        if not isinstance(value, bytes):
            try:
                json.dumps(value, allow_nan=False)
            except ValueError:
                raise ValueError(f"{name}: a number is not finite, and a page cannot hold it") from None
    return {
        "state": {name: value for name, value in values.items() if not isinstance(value, bytes)},
        "bytes": {name: base64.b64encode(v).decode() for name, v in values.items() if isinstance(v, bytes)},
    }


def _policy(script: str) -> str:
    """What a browser lets the page do: run this very script and its kernel. Whatever else stands in it asks nobody."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        f"default-src 'none'; script-src 'sha256-{digest}' 'wasm-unsafe-eval'; style-src 'unsafe-inline'; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'"
    )


def _still(widget: Saved) -> str:
    """The picture that stands where no script runs, for light pages and dark ones, with its description."""
    data, metadata = widget._repr_mimebundle_()
    light, dark = (f"data:image/png;base64,{data[kind].strip()}" for kind in ("image/png", DARK_MIME))
    about = metadata["image/png"]
    return (
        f'<figure id="still"><picture><source media="(prefers-color-scheme: dark)" srcset="{dark}">'
        f'<img src="{light}" width="{about["width"]}" alt="{html.escape(about["alt"])}"></picture></figure>'
    )
