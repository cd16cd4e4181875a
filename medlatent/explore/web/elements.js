/* What every widget of the package is built of. */

/** A DOM element; an attribute whose value is a function is a listener. */
function element(tag, attributes, ...children) {
  const node = document.createElement(tag);
  setAttributes(node, attributes);
  // JupyterLab would take the arrow keys: it asks the focused element itself.
  if (["button", "input", "select"].includes(tag)) node.dataset.lmSuppressShortcuts = "true";
  node.append(...children);
  return node;
}

function setAttributes(node, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") node.addEventListener(name, value);
    else if (typeof value === "boolean") node.toggleAttribute(name, value);
    else node.setAttribute(name, value);
  }
}

function button(content, click, attributes = {}) {
  return element("button", { type: "button", click, ...attributes }, content);
}

function clamp(value, lo, hi) {
  return Math.min(Math.max(value, lo), hi);
}
