"""Removes sphinx-thebe's script: on every page twice, it is an error in the console; the book has no Thebe."""


def drop(app, pagename, templatename, context, doctree):
    def ours(script) -> bool:
        body = str(getattr(script, "attributes", {}).get("body", ""))
        return "THEBE" not in body and "sphinx-thebe" not in str(getattr(script, "filename", "") or "")

    context["script_files"] = [s for s in context["script_files"] if ours(s)]


def setup(app):
    app.connect("html-page-context", drop, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
