/* The host of one widget in a file of its own: it stands below the widget's script, whose render it calls. What the
   widget carries lies in the page as JSON, its bytes in base64. */

/** What a widget's script knows of Backbone's models, as far as anywidget promises it; there is nobody to save to. */
class PageModel {
  constructor(state) {
    this.state = state;
    this.listeners = new Map();
  }

  get(name) {
    return this.state[name];
  }

  set(name, value) {
    const values = typeof name === "object" ? name : { [name]: value };
    const changed = Object.keys(values).filter((key) => this.state[key] !== values[key]);
    Object.assign(this.state, values);
    for (const key of changed) {
      for (const listener of [...(this.listeners.get(`change:${key}`) ?? [])]) listener(this, values[key]);
    }
  }

  on(names, listener) {
    for (const name of names.split(" ")) this.listeners.set(name, (this.listeners.get(name) ?? new Set()).add(listener));
  }

  off(names, listener) {
    for (const name of names.split(" ")) this.listeners.get(name)?.delete(listener);
  }

  save_changes() {}
}

/** The state of the widget; throws where it is not what was saved. */
function savedState(script) {
  const text = script.textContent;
  if (crc32(new TextEncoder().encode(text)) !== Number(script.dataset.crc32)) {
    throw new Error("the file is not as it was saved, it was altered or cut on its way: ask for it again");
  }
  const { state, bytes } = JSON.parse(text);
  for (const [name, base64] of Object.entries(bytes)) {
    state[name] = new DataView(Uint8Array.from(atob(base64), (c) => c.charCodeAt(0)).buffer);
  }
  return state;
}

function openSaved() {
  const [place, still, notice] = ["live", "still", "notice"].map((id) => document.getElementById(id));
  try {
    render({ model: new PageModel(savedState(document.getElementById("saved"))), el: place });
    still.hidden = true;
    notice.hidden = true;
  } catch (error) {
    place.replaceChildren();
    notice.setAttribute("role", "alert");
    notice.textContent = `What was saved here cannot run: ${error.message}. The picture is a still one.`;
  }
}

openSaved();
