"""What a chapter's page needs beyond myst-nb: dark figures, cells to link to, numbers, names that resolve."""

import hashlib
import re
from pathlib import Path

from docutils import nodes
from sphinx.transforms.post_transforms import SphinxPostTransform


class DarkFigures(SphinxPostTransform):
    """Adds to each figure its twin for dark mode, which lies in ``_static/dark`` under the light one's hash.

    A picture without a twin (a photograph) is marked as fit for both, so that the theme leaves its colours alone.
    """

    default_priority = 5  # before figures get their numbers' links and images are collected
    formats = ("html",)

    def run(self, **kwargs):
        root = Path(self.env.srcdir)
        for image in list(self.document.findall(nodes.image)):
            path = root / image["uri"]
            if not path.is_file():
                continue
            twin = f"book/_static/dark/{hashlib.sha256(path.read_bytes()).hexdigest()}.png"
            if not (root / twin).is_file():
                if not {"only-light", "only-dark"} & set(image["classes"]):
                    image["classes"].append("dark-light")
                continue
            dark = image.deepcopy()
            dark["ids"] = []
            dark["uri"], dark["candidates"] = twin, {"*": twin}
            self.env.images.add_file(self.env.docname, twin)
            image["classes"].append("only-light")
            dark["classes"].append("only-dark")
            # wrapped, because the theme hides the caption that follows a dark picture in the same figure
            pair = nodes.inline(classes=["light-and-dark"])
            image.parent[image.parent.index(image)] = pair
            pair += [image, dark]


def name_check_cells(app, doctree):
    """Makes a cell tagged ``check-SLUG-N`` a target of that name."""
    labels = app.env.get_domain("std")
    for cell in doctree.findall(nodes.container):
        for name in (c.removeprefix("tag_") for c in cell["classes"] if c.startswith("tag_check-")):
            cell["ids"].append(name)
            labels.anonlabels[name] = (app.env.docname, name)
            labels.labels[name] = (app.env.docname, name, name)


def number_as_labelled(app, doctree):
    """Gives an equation labelled ``eq-SLUG-N`` the number N, as the paper has it; Sphinx counts through the book."""
    equations = app.env.get_domain("math").equations
    for equation in doctree.findall(nodes.math_block):
        if labelled := re.fullmatch(r"eq-.+-(\d+)", equation.get("label") or ""):
            equation["number"] = int(labelled[1])
            equations[equation["label"]] = (app.env.docname, int(labelled[1]))


def public_name(app, env, node, contnode):
    """Resolves ``medlatent.data.imageset.ImageSet``, as a type hint has it, to ``medlatent.data.ImageSet``."""
    target = node.get("reftarget", "")
    if node.get("refdomain") != "py" or not target.startswith("medlatent."):
        return None
    *modules, name = target.split(".")
    objects = env.get_domain("py").objects
    while len(modules) > 1:
        modules.pop()
        candidate = ".".join([*modules, name])
        if candidate in objects:
            return env.get_domain("py").resolve_xref(env, node["refdoc"], app.builder, "obj", candidate, node, contnode)
    return None


def setup(app):
    app.add_post_transform(DarkFigures)
    app.connect("doctree-read", name_check_cells)
    app.connect("doctree-read", number_as_labelled)
    app.connect("missing-reference", public_name)
    return {"parallel_read_safe": False, "parallel_write_safe": True}
