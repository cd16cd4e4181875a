/* Brings a notebook's widgets to life on a page that has no kernel.

   Widgets of anywidget carry their own script, which needs a model to read from, not Python: it gets one here. What it
   needs is loaded when the reader comes near it; until then, and without JavaScript, its still picture stands there.
   Any other control runs Python, and a notice says so. */
(() => {
  const STATE = 'script[type="application/vnd.jupyter.widget-state+json"]';
  const VIEW = 'script[type="application/vnd.jupyter.widget-view+json"]';
  const FOLDER = new URL("widgets/", document.currentScript.src);
  const NEAR = "500px";
  const SLOW = 15_000; // ms after which a reader is told what is still awaited

  // ---------------------------------------------------------------------------------------------------------- assets

  /* Files are scripts that call medlatentAsset: a page from disk may load those, and only those. */
  const assets = new Map(); // name -> { value: a promise, resolve }
  let tries = 0; // by the reader: a file that came wrong is asked for by another address, or a cache would answer

  window.medlatentAsset = (name, value) => assets.get(name)?.resolve(value);

  function asset(name, crc32) {
    if (!assets.has(name)) {
      const entry = {};
      entry.value = new Promise((resolve, reject) => {
        const script = document.createElement("script");
        const fail = (what) => reject(new Error(`the file ${name}.js ${what}`));
        entry.resolve = (value) => {
          entry.came = true;
          if (checksum(value) === crc32) resolve(value);
          else fail("is not as it was published");
        };
        script.src = new URL(`${name}.js${tries ? `?again=${tries}` : ""}`, FOLDER);
        script.onload = () => {
          script.remove();
          fail("is not complete, or something else came in its place"); // without effect where its value has come
        };
        script.onerror = () => fail("could not be loaded");
        document.head.append(script);
      });
      assets.set(name, entry);
      entry.value.catch(() => forget(name, entry));
    }
    return assets.get(name).value;
  }

  function forget(name, entry) {
    if (assets.get(name) !== entry) return;
    assets.delete(name);
    decoded.delete(name);
  }

  const TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
    for (let bit = 0; bit < 8; bit++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1;
    return n;
  });

  /* The CRC-32 of a text, as zlib has it. */
  function checksum(text) {
    let crc = -1;
    for (const byte of new TextEncoder().encode(text)) crc = TABLE[(crc ^ byte) & 255] ^ (crc >>> 8);
    return ~crc >>> 0;
  }

  const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));

  const decoded = new Map(); // name -> a promise of its DataView, one for all widgets of the page

  function dataView(name, crc32) {
    if (!name) return new DataView(new ArrayBuffer(0));
    if (!decoded.has(name)) decoded.set(name, asset(name, crc32).then((text) => new DataView(bytes(text).buffer)));
    return decoded.get(name);
  }

  /* The state of a widget with everything that lies in files. */
  async function complete({ state, assets: missing }) {
    const values = await Promise.all(
      missing.map(({ file, kind, crc32 }) => (kind === "text" ? asset : dataView)(file, crc32)),
    );
    const whole = { ...state };
    missing.forEach(({ path }, i) => {
      let place = whole;
      for (const key of path.slice(0, -1)) place = place[key];
      place[path.at(-1)] = values[i];
    });
    return whole;
  }

  // ---------------------------------------------------------------------------------------------------------- models

  /* What a widget's script knows of Backbone's models, as far as anywidget promises it. */
  class Model {
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
      for (const key of changed) this.emit(`change:${key}`, this, values[key]);
      if (changed.length) this.emit("change", this);
    }

    on(names, listener) {
      for (const name of names.split(" ")) {
        if (!this.listeners.has(name)) this.listeners.set(name, new Set());
        this.listeners.get(name).add(listener);
      }
    }

    off(names, listener) {
      for (const name of names?.split(" ") ?? [...this.listeners.keys()]) {
        if (listener) this.listeners.get(name)?.delete(listener);
        else this.listeners.delete(name);
      }
    }

    emit(name, ...values) {
      for (const listener of [...(this.listeners.get(name) ?? [])]) listener(...values);
    }

    save_changes() {} // there is nobody to save to

    send() {}
  }

  const scripts = new Map(); // text -> a promise of its module
  const styles = new Set();

  function moduleOf(text) {
    if (!scripts.has(text)) {
      const url = URL.createObjectURL(new Blob([text], { type: "text/javascript" }));
      scripts.set(text, import(url).finally(() => URL.revokeObjectURL(url)));
    }
    return scripts.get(text);
  }

  async function open(entry) {
    const state = await complete(entry);
    if (state._css && !styles.has(state._css)) {
      styles.add(state._css);
      const style = document.createElement("style");
      style.textContent = state._css;
      document.head.append(style);
    }
    let widget = (await moduleOf(state._esm)).default;
    if (typeof widget === "function") widget = await widget();
    const model = new Model(state);
    await widget.initialize?.({ model });
    return { widget, model };
  }

  // ----------------------------------------------------------------------------------------------------------- views

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

  /* Renders in place of the still; if that fails or takes long, the still stays, a line says why, and a button begins
     anew. */
  async function revive(box, id) {
    const attempt = (box.attempt = Symbol()); // a later one takes the place of this one
    const say = (text, live) => {
      if (box.attempt !== attempt) return;
      const again = document.createElement("button");
      again.type = "button";
      again.textContent = "Try again";
      again.onclick = () => {
        box.replaceChildren("This control is being loaded again.");
        retry(id);
        revive(box, id);
      };
      const line = document.createElement("p");
      line.setAttribute("role", "alert");
      line.append(text, " ", again);
      box.replaceChildren(line);
      box.dataset.live = live;
    };
    const slow = setTimeout(() => say("This control is still being loaded.", "slow"), SLOW);
    if (!opened.has(id)) opened.set(id, open(entries[id]));
    const opening = opened.get(id);
    try {
      const { widget, model } = await opening;
      opening.done = true;
      if (box.attempt !== attempt) return;
      clearTimeout(slow);
      box.replaceChildren();
      await widget.render({ model, el: box });
      box.closest(".cell_output")?.classList.add("has-live-widget");
      box.dataset.live = "true";
    } catch (error) {
      console.error("medlatent widget host:", error);
      if (opened.get(id) === opening) opened.delete(id);
      say(`This control could not be started: ${error.message ?? error}.`, "failed");
    } finally {
      clearTimeout(slow);
    }
  }

  /* What has not come is asked for again. */
  function retry(id) {
    tries += 1;
    if (!opened.get(id)?.done) opened.delete(id); // views of one widget share their model
    for (const { file } of entries[id].assets) {
      const entry = assets.get(file);
      if (entry && !entry.came) forget(file, entry);
    }
  }

  let entries = {}; // of the page's widgets, by their ids
  const opened = new Map(); // id -> a promise of its widget and model, shared by its views

  function start() {
    const saved = document.querySelector(STATE);
    entries = saved ? JSON.parse(saved.textContent).state : {};
    const waiting = new Map(); // cell -> its boxes
    const watcher = new IntersectionObserver(
      (seen) => {
        for (const { target } of seen.filter((entry) => entry.isIntersecting)) {
          watcher.unobserve(target);
          for (const { box, id } of waiting.get(target)) revive(box, id);
        }
      },
      { rootMargin: NEAR },
    );
    for (const view of document.querySelectorAll(VIEW)) {
      const id = JSON.parse(view.textContent).model_id;
      if (!entries[id]) {
        view.after(notice());
        continue;
      }
      const box = document.createElement("div");
      box.className = "live-widget";
      view.after(box);
      // The cell is watched, not the empty box: until then the reader sees the still in it.
      const cell = view.closest(".cell_output") ?? box;
      waiting.set(cell, [...(waiting.get(cell) ?? []), { box, id }]);
      watcher.observe(cell);
    }
  }

  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
})();
