"""Keeps JSON inside of its script element: titles, labels and names in the state of a widget can be any text.

myst-nb looks for one spelling of the closing tag. Here the rule: of ``<``, ``>``, ``&`` and the line separators U+2028
and U+2029 none is left. In JSON they stand in strings only and may be written as an escape there, so that nothing can
close the element, open another, or begin a comment. ``medlatent.explore.one_file`` has the same rule.
"""

import re

from docutils import nodes

ESCAPES = {ord(character): f"\\u{ord(character):04x}" for character in "<>&\u2028\u2029"}


def escape(text: str) -> str:
    """JSON that means the same and has none of these characters."""
    return text.translate(ESCAPES)


def escape_outputs(app, doctree):
    """In the outputs of cells: which widget stands there."""
    for node in doctree.findall(nodes.raw):
        if parts := re.fullmatch(r'(<script type="[^"]*json">)(.*)(</script>)', node.astext(), re.S):
            node.children = [nodes.Text(parts[1] + escape(parts[2]) + parts[3])]


def escape_states(app, pagename, templatename, context, doctree):
    """In the page: the states of its widgets."""
    for script in context["script_files"]:
        attributes = getattr(script, "attributes", {})
        if attributes.get("type", "").endswith("json"):
            attributes["body"] = escape(attributes["body"])


def setup(app):
    app.connect("doctree-read", escape_outputs)
    app.connect("html-page-context", escape_states, priority=900)  # when all have put in theirs
    return {"parallel_read_safe": True, "parallel_write_safe": True}
