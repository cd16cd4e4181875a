/* Puts a notice where a notebook shows a control that needs Python: a published page has no kernel. */
(() => {
  const VIEW = 'script[type="application/vnd.jupyter.widget-view+json"]';

  function notice() {
    const box = document.createElement("div");
    box.className = "admonition note needs-kernel";
    box.setAttribute("role", "note");
    const title = document.createElement("p");
    title.className = "admonition-title";
    title.textContent = "Needs a kernel";
    const text = document.createElement("p");
    text.append("This control needs a kernel: open the notebook in ");
    const colab = document.querySelector('a[href^="https://colab.research.google.com/"]');
    if (colab) {
      const link = document.createElement("a");
      link.href = colab.href;
      link.textContent = "Colab";
      text.append(link);
    } else {
      text.append("Colab");
    }
    text.append(" or JupyterLab.");
    box.append(title, text);
    return box;
  }

  function start() {
    for (const view of document.querySelectorAll(VIEW)) view.after(notice());
  }

  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
})();
