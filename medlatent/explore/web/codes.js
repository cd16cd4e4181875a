/* Codes: a category as a choice of pictures, and two continuous codes as a point in a square. */

const codesView = {
  label: "Codes",

  build(explorer) {
    const parts = [];
    if (explorer.model.get("category").length) parts.push(categoryChoice(explorer));
    if (explorer.model.get("pad").length) parts.push(codePad(explorer));
    return {
      element: element("div", { class: "codes" }, ...parts.map((part) => part.element)),
      update() {
        for (const part of parts) part.update();
      },
    };
  },
};

/** Each category as the decoder draws it, all else as it is; decoded when the code has rested. */
function categoryChoice(explorer) {
  const { code, model } = explorer;
  const category = model.get("category");
  const others = [...code.keys()].filter((i) => !category.includes(i));
  let pictured = null; // the code of the pictures but for the category

  const choose = (code, chosen) => category.forEach((i, k) => { code[i] = Number(k === chosen); });
  const isChosen = (k) => category.every((i, j) => code[i] === Number(j === k));

  const canvases = category.map(() => canvasFor(explorer));
  const radios = category.map((dimension, k) => element("input", {
    type: "radio", name: `${explorer.id}-category`, "data-category": k,
    change: () => {
      choose(code, k);
      explorer.move(dimension, 1);
    },
  }));
  const tiles = model.get("category_names").map((name, k) => element("label", { class: "tile" },
    radios[k], canvases[k], element("span", { class: "number" }, name)));
  const caption = element("p", { class: "words", id: `${explorer.id}-categories` });
  const box = element("div", { class: "multiples" }, caption, element("div", {
    class: "tiles categories", role: "radiogroup", "aria-labelledby": caption.id,
    style: tileColumns(explorer, tiles.length),
  }, ...tiles));
  const decode = decodeAtRest(explorer, box, canvases, (k) => {
    choose(pictured, k);
    return pictured;
  });

  return {
    element: box,
    update() {
      const chosen = radios.findIndex((_, k) => isChosen(k));
      radios.forEach((radio, k) => { radio.checked = k === chosen; });
      caption.textContent = (chosen < 0 ? "Category: none, the code lies between them" : "Category")
        + explorer.inEach;
      if (pictured && others.every((i) => pictured[i] === code[i])) return;
      pictured = code.slice();
      decode();
    },
  };
}

/** A square with a slider for each side: the pointer moves both, and so do the arrow keys. */
function codePad(explorer) {
  const { code, names, limits, scales } = explorer;
  const dimensions = explorer.model.get("pad");
  const ends = dimensions.map((i) => scales[i].ends(limits[i])); // of z: left and right, below and above
  const sliders = dimensions.map((dimension) => slider(explorer, dimension));
  const point = element("span", { class: "point" });

  const set = ([across, up]) => {
    code[dimensions[0]] = across;
    explorer.move(dimensions[1], up);
  };
  const moveTo = (values) =>
    set(values.map((z, axis) => clamp(scales[dimensions[axis]].snap(z), ...limits[dimensions[axis]])));
  const follow = (event) => {
    const { left, bottom, width, height } = square.getBoundingClientRect();
    const shares = [(event.clientX - left) / width, (bottom - event.clientY) / height];
    moveTo(shares.map((share, axis) => {
      const [lo, hi] = ends[axis];
      return lo + share * (hi - lo);
    }));
  };
  const goHome = () => set(dimensions.map((i) => explorer.home[i]));

  const square = element("div", {
    class: "pad", tabindex: 0, role: "application", "data-lm-suppress-shortcuts": "true",
    "aria-label": `Pad of ${names[dimensions[0]]} (left, right) and ${names[dimensions[1]]} `
      + "(down, up). Arrow keys move its point; a slider for each follows.",
    pointerdown: (event) => {
      if (event.button) return;
      square.setPointerCapture(event.pointerId);
      follow(event);
    },
    pointermove: (event) => { if (square.hasPointerCapture(event.pointerId)) follow(event); },
    dblclick: goHome,
    keydown: (event) => {
      const direction = DIRECTIONS[event.key];
      const erase = event.key === "Delete" || event.key === "Backspace";
      if (event.ctrlKey || event.altKey || event.metaKey || !(direction || erase)) return;
      event.preventDefault();
      if (erase) goHome();
      else moveTo(dimensions.map((i, axis) => scales[i].stepped(code[i], 0.1 * direction[axis])));
      explorer.say(dimensions.map((i) => `${names[i]} ${scales[i].show(code[i])}`).join(", "));
    },
  }, point);

  /* What stands at the lower end, the middle and the upper end of each side. */
  const rulers = ["across", "up"].map((side, axis) => {
    const [lo, hi] = ends[axis].map(scales[dimensions[axis]].end);
    const words = [lo, names[dimensions[axis]], hi].map((text) => element("span", {}, text));
    return element("div", { class: `scale ${side}`, "aria-hidden": "true" }, ...words);
  });
  const hint = "Drag the point, or use the arrow keys; double-click or Delete: back to the start.";
  return {
    element: element("div", { class: "padded" },
      element("div", { class: "plane" }, rulers[1], square, rulers[0]),
      element("div", { class: "sliders" }, ...sliders.map((control) => control.element)),
      element("p", { class: "note" }, hint)),
    update() {
      for (const control of sliders) control.update();
      dimensions.forEach((i, axis) => {
        const [lo, hi] = ends[axis]; // at the edge where the code lies outside
        point.style.setProperty(["--x", "--y"][axis], clamp((code[i] - lo) / (hi - lo), 0, 1));
      });
    },
  };
}
