/* Traverse: one slider a dimension, and a row of pictures along the one touched last. */

const traverseView = {
  label: "Traverse",

  build(explorer) {
    const { code, nats } = explorer;
    const order = explorer.model.get("order");
    const list = element("div", { class: "sliders" });
    const sliders = new Map();
    const row = smallMultiples(explorer);
    let touched = order[0];

    const add = (dimension) => {
      const control = slider(explorer, dimension, () => {
        touched = dimension;
        explorer.queue();
      });
      sliders.set(dimension, control);
      list.append(control.element);
    };
    order.forEach(add);

    const others = [...code.keys()].filter((dimension) => !sliders.has(dimension));
    if (nats.length) others.sort((i, j) => nats[j] - nats[i]);
    const all = button("All dimensions", () => {
      const on = all.getAttribute("aria-pressed") !== "true";
      all.setAttribute("aria-pressed", on);
      list.classList.toggle("all", on);
      for (const dimension of others) {
        if (!sliders.has(dimension)) add(dimension);
        sliders.get(dimension).element.hidden = !on;
      }
      explorer.say(on ? `All ${code.length} dimensions, in a list that scrolls.` : `${order.length} dimensions.`);
      explorer.queue();
    }, { "aria-pressed": "false" });
    const inUnits = Object.keys(explorer.model.get("scales")).length;
    const keys = inUnits ? "Arrow keys: a step; Page keys: five" : "Arrow keys: 0.1; Page keys: 0.5";
    const hint = `${keys}; double-click or Delete: back to the start.`;
    const below = element("div", { class: "buttons" }, element("p", { class: "note" }, hint));
    if (others.length) below.prepend(all);

    return {
      element: element("div", { class: "traverse" }, list, below, row.element),
      update() {
        for (const control of sliders.values()) control.update();
        row.update(touched, sliders.get(touched).ends());
      },
    };
  },
};

const KEY_STEPS = {
  ArrowLeft: -0.1, ArrowDown: -0.1, ArrowRight: 0.1, ArrowUp: 0.1, PageDown: -0.5, PageUp: 0.5,
};

/** A slider of one dimension, in its unit; where it is noise, before the density of N(0, 1).
 *
 * To the right is more of what is said, which is less of z where the scale falls. `touch()` is called when the reader comes to it. It widens where the value lies outside the
 * limits. The result's `update()` shows the present value. */
function slider(explorer, dimension, touch = () => {}) {
  const { code, names, nats } = explorer;
  const limits = explorer.limits[dimension];
  const scale = explorer.scales[dimension];
  const normal = explorer.noise.includes(dimension);
  const centre = explorer.centre[dimension];
  const id = `${explorer.id}-z${dimension}`;
  const note = nats.length ? `${nats[dimension].toFixed(2)} nats` : "";
  const value = () => code[dimension];
  const home = () => explorer.home[dimension];
  const move = (z) => explorer.move(dimension, z);
  let [lo, hi] = limits;
  let [left, right] = scale.ends(limits);
  let shown;
  let pressed;
  const input = element("input", {
    id, type: "range", step: "any", min: scale.to(left), max: scale.to(right), "data-dimension": dimension,
    input: () => {
      touch();
      move(clamp(scale.snap(scale.from(Number(input.value))), lo, hi));
    },
    focus: touch,
    pointerdown: () => { pressed = value(); },
    pointercancel: () => move(pressed), // a finger that scrolls the page had moved the thumb
    dblclick: () => move(home()),
    keydown: (event) => {
      const step = KEY_STEPS[event.key];
      const erase = event.key === "Delete" || event.key === "Backspace";
      if (event.ctrlKey || event.altKey || event.metaKey || !(step || erase)) return;
      event.preventDefault();
      touch();
      move(erase ? home() : clamp(scale.stepped(value(), step), lo, hi));
    },
  });
  const dot = element("span", { class: "dot" });
  const number = element("span", { class: "number", "aria-hidden": "true" });
  const track = element("div", { class: "track" }, input);
  if (normal) track.prepend(densityCurve(left - centre, right - centre), dot);
  const label = element("label", { for: id },
    element("span", { class: "name" }, names[dimension]), element("small", {}, note));

  /** As wide as the value asks; but not while it is dragged, which would move the thumb. */
  function fit() {
    const low = Math.min(limits[0], Math.floor(2 * shown) / 2);
    const high = Math.max(limits[1], Math.ceil(2 * shown) / 2);
    if ((low === lo && high === hi) || input.matches(":active")) return;
    [lo, hi] = [low, high];
    [left, right] = scale.ends([lo, hi]);
    setAttributes(input, { min: scale.to(left), max: scale.to(right) });
    if (normal) track.firstChild.replaceWith(densityCurve(left - centre, right - centre));
  }

  return {
    element: element("div", { class: "slider" }, label, track, number),
    ends: () => [left, right],
    update() {
      if (shown === value()) return;
      shown = value();
      fit();
      const density = Math.exp(-((shown - centre) ** 2) / 2);
      input.value = scale.to(shown);
      number.textContent = scale.show(shown);
      const height = `, prior density ${(density / Math.sqrt(2 * Math.PI)).toFixed(2)}`;
      input.setAttribute("aria-valuetext", scale.show(shown) + (normal ? height : ""));
      dot.style.setProperty("--at", (shown - left) / (right - left));
      dot.style.setProperty("--density", density);
    },
  };
}

/** The density between two distances from the centre, from the left to the right. */
function densityCurve(left, right) {
  const points = Array.from({ length: 61 }, (_, i) => {
    const z = left + ((right - left) * i) / 60;
    return `${(i / 0.6).toFixed(1)} ${(100 - 100 * Math.exp((-z * z) / 2)).toFixed(1)}`;
  });
  const d = `M${points.join("L")}`;
  return pathDrawing("0 0 100 100", d, { class: "density", preserveAspectRatio: "none" });
}

/** A row of pictures along one dimension, the others as they are; a click takes the value.
 *
 * Moving along the dimension itself changes nothing in the row but the mark. */
function smallMultiples(explorer) {
  const count = 9;
  const caption = element("p", { class: "words" });
  const code = new Float64Array(explorer.code.length).fill(NaN); // that of the row
  const values = new Float64Array(count);
  let dimension = -1;

  const pictures = Array.from({ length: count }, (_, step) => {
    const canvas = canvasFor(explorer);
    const number = element("span", { class: "number", "aria-hidden": "true" });
    const take = () => explorer.move(dimension, values[step]);
    const tile = button(canvas, take, { class: "tile", "data-step": step });
    tile.append(number);
    return { tile, canvas, number };
  });
  const box = element("div", { class: "multiples empty" }, caption,
    element("div", { class: "tiles", style: tileColumns(explorer, count) },
      ...pictures.map(({ tile }) => tile)));
  const decode = decodeAtRest(explorer, box, pictures.map(({ canvas }) => canvas), (step) => {
    code[dimension] = values[step];
    return code;
  });

  function current(touched, [left, right]) {
    const same = dimension === touched && values[0] === left && values[count - 1] === right;
    return same && code.every((z, i) => i === dimension || z === explorer.code[i]);
  }

  function describe(touched, [left, right]) {
    dimension = touched;
    code.set(explorer.code);
    const name = explorer.names[dimension];
    const scale = explorer.scales[dimension];
    caption.textContent = `${name} from ${scale.show(left, 1)} to ${scale.show(right, 1)}, all else as it is`
      + explorer.inEach;
    pictures.forEach(({ tile, number }, step) => {
      values[step] = left + ((right - left) * step) / (count - 1);
      number.textContent = scale.brief(values[step]);
      tile.setAttribute("aria-label", `${name} at ${scale.show(values[step])}`);
    });
  }

  return {
    element: box,
    update(touched, ends) {
      if (!current(touched, ends)) {
        describe(touched, ends);
        decode();
      }
      const place = (explorer.code[dimension] - values[0]) / (values[count - 1] - values[0]);
      const nearest = Math.round(place * (count - 1));
      pictures.forEach(({ tile }, step) => tile.setAttribute("aria-pressed", step === nearest));
    },
  };
}

/** Pictures in a box that follow the code: once it has rested, codeOf(i) is decoded on each canvas.
 *
 * The result is called when they no longer fit the code; until they do, the box is `stale`. `drawn(i, pixels)` is
 * called after each. */
function decodeAtRest(explorer, box, canvases, codeOf, drawn = () => {}) {
  let timer = null;
  let cancel = () => {};
  const stop = () => {
    clearTimeout(timer);
    cancel();
  };
  const done = () => box.classList.remove("empty", "stale");
  explorer.disposals.push(stop);
  return () => {
    stop();
    box.classList.add("stale");
    timer = setTimeout(() => { cancel = decodeWhenIdle(explorer, canvases, codeOf, done, drawn); }, 150);
  };
}

/** Decodes codeOf(i) on each canvas, one an idle moment, so that no frame waits.
 *
 * `drawn(i, pixels)` is called after each, `done()` after the last. The result calls it off. */
function decodeWhenIdle(explorer, canvases, codeOf, done = () => {}, drawn = () => {}) {
  // Safari has no idle callbacks.
  const idle = globalThis.requestIdleCallback ?? ((work) => setTimeout(work, 16));
  const callOff = globalThis.cancelIdleCallback ?? clearTimeout;
  let next = 0;
  let request = idle(draw, { timeout: 1000 });

  function draw() {
    const pixels = explorer.decode(codeOf(next));
    paint(canvases[next], pixels, explorer);
    drawn(next, pixels);
    next += 1;
    if (next < canvases.length) request = idle(draw, { timeout: 1000 });
    else done();
  }

  return () => callOff(request);
}
