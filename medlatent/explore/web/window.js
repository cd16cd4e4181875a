/* A picture in Hounsfield units through a window that the reader moves: what it shows, and how much it clips. */

const STEP = 10; // HU; the keys of a page go ten times as far
const KEYS = {
  ArrowLeft: -STEP, ArrowDown: -STEP, ArrowRight: STEP, ArrowUp: STEP, PageDown: -10 * STEP, PageUp: 10 * STEP,
};
const NAMES = ["centre", "width"];

class WindowView {
  constructor(model, el) {
    this.model = model;
    this.id = `lm${Math.random().toString(36).slice(2, 10)}`;
    [this.height, this.width] = model.get("shape");
    const { buffer, byteOffset, byteLength } = model.get("hu");
    this.hu = new Int16Array(buffer.slice(byteOffset, byteOffset + byteLength));
    if (this.hu.length !== this.height * this.width) throw new Error("its picture is missing: run its cell again, and save");
    this.value = Object.fromEntries(NAMES.map((name) => [name, model.get(name)]));
    this.start = { ...this.value };
    this.sheet = new ImageData(this.width, this.height);
    this.sheet.data.fill(255);
    this.build(el);
    this.listen();
    this.draw();
  }

  build(el) {
    const { model } = this;
    const title = model.get("title");
    this.root = element("div", { class: "medlatent-explorer", role: "group", "aria-label": title || "A window in Hounsfield units" });
    this.root.style.setProperty("--value", "9ch");
    const crisp = Math.max(this.width, this.height) < 64 ? " crisp" : "";
    this.canvas = element("canvas", { class: `picture${crisp}`, role: "img", width: this.width, height: this.height });
    this.said = element("p", { class: "words" });
    this.sliders = NAMES.map((name) => this.slider(name));
    this.presets = model.get("presets").map(([name, centre, width]) => {
      const node = button(name, () => this.move({ centre, width }), { "aria-pressed": "false" });
      return { node, centre, width };
    });
    const choices = element("div", { class: "buttons", role: "group", "aria-label": "Usual windows" },
      ...this.presets.map(({ node }) => node));
    const hint = `Arrow keys: ${STEP} HU; Page keys: ${10 * STEP}; double-click or Delete: back to the start.`;
    if (title) this.root.append(element("p", { class: "title" }, title));
    this.root.append(element("div", { class: "layout" },
      element("div", { class: "pictures" }, this.canvas),
      element("div", { class: "views windowing" },
        element("div", { class: "sliders" }, ...this.sliders.map((slider) => slider.element)), this.said, choices,
        element("p", { class: "note" }, hint))));
    el.append(this.root);
  }

  slider(name) {
    const [lo, hi] = this.model.get("limits")[name];
    const id = `${this.id}-${name}`;
    const set = (value) => this.move({ [name]: clamp(value, lo, hi) });
    let pressed;
    const input = element("input", {
      id, type: "range", min: lo, max: hi, step: "any",
      input: () => set(STEP * Math.round(Number(input.value) / STEP)),
      pointerdown: () => { pressed = this.value[name]; },
      pointercancel: () => set(pressed), // a finger that scrolls the page had moved the thumb
      dblclick: () => set(this.start[name]),
      keydown: (event) => {
        const erase = event.key === "Delete" || event.key === "Backspace";
        if (event.ctrlKey || event.altKey || event.metaKey || !(KEYS[event.key] || erase)) return;
        event.preventDefault();
        set(erase ? this.start[name] : this.value[name] + KEYS[event.key]);
      },
    });
    const number = element("span", { class: "number", "aria-hidden": "true" });
    const label = element("label", { for: id }, element("span", { class: "name" }, name));
    return {
      element: element("div", { class: "slider" }, label, element("div", { class: "track" }, input), number),
      update: () => {
        input.value = this.value[name];
        number.textContent = inUnits(this.value[name]);
        input.setAttribute("aria-valuetext", inUnits(this.value[name]));
      },
    };
  }

  move(values) {
    Object.assign(this.value, values);
    this.publishing = true;
    this.model.set({ ...this.value });
    this.publishing = false;
    this.saving ??= setTimeout(() => this.save(), 100); // to Python at most ten times a second
    this.draw();
  }

  save() {
    clearTimeout(this.saving);
    this.saving = null;
    this.model.save_changes();
  }

  /* Another view of the same widget, or Python, moved the window. */
  listen() {
    const names = NAMES.map((name) => `change:${name}`).join(" ");
    const follow = () => {
      if (this.publishing) return;
      if (this.saving) { // a kernel that answers what it was sent before: what the reader does now is newer
        this.publishing = true;
        this.model.set({ ...this.value });
        this.publishing = false;
        return;
      }
      for (const name of NAMES) this.value[name] = this.model.get(name);
      this.draw();
    };
    this.model.on(names, follow);
    this.dispose = () => {
      if (this.saving) this.save();
      this.model.off(names, follow);
      this.root.remove();
    };
  }

  draw() {
    const { hu, sheet, value: { centre, width } } = this;
    const clipped = [0, 0]; // below and above
    for (let i = 0; i < hu.length; i += 1) {
      const grey = (hu[i] - centre) / width + 0.5;
      if (grey < 0) clipped[0] += 1;
      if (grey > 1) clipped[1] += 1;
      sheet.data.fill(Math.round(255 * clamp(grey, 0, 1)), 4 * i, 4 * i + 3);
    }
    this.canvas.getContext("2d").putImageData(sheet, 0, 0);
    const [black, white] = clipped.map((count) => `${Math.round((100 * count) / hu.length)} %`);
    const [low, high] = [-0.5, 0.5].map((side) => inUnits(centre + side * width));
    this.said.textContent = `Black below ${low}: ${black} of the pixels. White above ${high}: ${white}.`;
    const window = `through the window of centre ${inUnits(centre)} and width ${inUnits(width)}`;
    this.canvas.setAttribute("aria-label", `${this.model.get("description")}, ${window}. ${this.said.textContent}`);
    for (const slider of this.sliders) slider.update();
    for (const { node, ...preset } of this.presets) {
      node.setAttribute("aria-pressed", preset.centre === centre && preset.width === width);
    }
    this.root.dataset.ready = "true";
  }
}

function inUnits(value) {
  return `${String(value).replace("-", "−")} HU`;
}

/** Called by whatever hosts the widget; returns what undoes it. */
function render({ model, el }) {
  const view = new WindowView(model, el);
  return () => view.dispose();
}

export default { render };
