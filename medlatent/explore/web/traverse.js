/* Traverse: one slider a dimension, and a row of pictures along the one touched last. */

const traverseView = {
  label: "Traverse",

  build(explorer) {
    const { code, names, nats } = explorer;
    const order = explorer.model.get("order");
    const list = element("div", { class: "sliders" });
    const sliders = new Map();
    const row = smallMultiples(explorer);
    let touched = order[0];

    const add = (dimension) => {
      const control = slider({
        id: `${explorer.id}-z${dimension}`,
        name: names[dimension],
        note: nats.length ? `${nats[dimension].toFixed(2)} nats` : "",
        limits: explorer.limits,
        touch: () => {
          touched = dimension;
          explorer.queue();
        },
        value: () => code[dimension],
        home: () => explorer.home[dimension],
        move: (value) => explorer.move(dimension, value),
      });
      control.input.dataset.dimension = dimension;
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
      explorer.say(on ? `All ${code.length} dimensions.` : `${order.length} dimensions.`);
      explorer.queue();
    }, { "aria-pressed": "false" });
    const hint = "Arrow keys: 0.1; Page keys: 0.5; double-click or Delete: back to the start.";
    const below = element("div", { class: "buttons" }, element("p", { class: "note" }, hint));
    if (others.length) below.prepend(all);

    return {
      element: element("div", { class: "traverse" }, list, below, row.element),
      update() {
        for (const control of sliders.values()) control.update();
        row.update(touched, sliders.get(touched).limits());
      },
    };
  },
};

const KEY_STEPS = {
  ArrowLeft: -0.1, ArrowDown: -0.1, ArrowRight: 0.1, ArrowUp: 0.1, PageDown: -0.5, PageUp: 0.5,
};

/** A slider before the density of its prior, N(0, 1).
 *
 * `value()` is the present value and `home()` the one a double-click returns to; `move(value)` is
 * called when the reader moves the slider, `touch()` when it gets the focus. It widens where the
 * value lies outside `limits`. The result's `update()` shows the present value. */
function slider({ id, name, note, limits, value, home, move, touch }) {
  let [lo, hi] = limits;
  let shown;
  let pressed;
  const input = element("input", {
    id, type: "range", step: "any", min: lo, max: hi,
    input: () => {
      touch();
      move(hundredths(Number(input.value)));
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
      move(erase ? home() : hundredths(clamp(value() + step, lo, hi)));
    },
  });
  const dot = element("span", { class: "dot" });
  const number = element("span", { class: "number", "aria-hidden": "true" });
  const track = element("div", { class: "track" }, densityCurve(lo, hi), dot, input);
  const label = element("label", { for: id }, element("span", { class: "name" }, name),
    element("small", {}, note));

  /** As wide as the value asks; but not while it is dragged, which would move the thumb. */
  function fit() {
    const low = Math.min(limits[0], Math.floor(2 * shown) / 2);
    const high = Math.max(limits[1], Math.ceil(2 * shown) / 2);
    if ((low === lo && high === hi) || input.matches(":active")) return;
    [lo, hi] = [low, high];
    setAttributes(input, { min: lo, max: hi });
    track.firstChild.replaceWith(densityCurve(lo, hi));
  }

  return {
    element: element("div", { class: "slider" }, label, track, number),
    input,
    limits: () => [lo, hi],
    update() {
      if (shown === value()) return;
      shown = value();
      fit();
      const density = Math.exp(-(shown ** 2) / 2);
      input.value = shown;
      number.textContent = signed(shown);
      const height = (density / Math.sqrt(2 * Math.PI)).toFixed(2);
      input.setAttribute("aria-valuetext", `${signed(shown)}, prior density ${height}`);
      dot.style.setProperty("--at", (shown - lo) / (hi - lo));
      dot.style.setProperty("--density", density);
    },
  };
}

function densityCurve(lo, hi) {
  const points = Array.from({ length: 61 }, (_, i) => {
    const z = lo + ((hi - lo) * i) / 60;
    return `${(i / 0.6).toFixed(1)} ${(100 - 100 * Math.exp((-z * z) / 2)).toFixed(1)}`;
  });
  const d = `M${points.join("L")}`;
  return pathDrawing("0 0 100 100", d, { class: "density", preserveAspectRatio: "none" });
}

/** A row of pictures along one dimension, the others as they are; a click takes the value.
 *
 * It is decoded when the code has rested, one picture an idle moment. Moving along the dimension
 * itself changes nothing in the row but the mark. */
function smallMultiples(explorer) {
  const count = 9;
  const [, height, width] = explorer.shape;
  const caption = element("p", { class: "words" });
  const code = new Float64Array(explorer.code.length).fill(NaN); // that of the row
  const values = new Float64Array(count);
  let dimension = -1;
  let timer = null;
  let cancel = () => {};

  const pictures = Array.from({ length: count }, (_, step) => {
    const canvas = element("canvas", { width, height, "aria-hidden": "true" });
    const number = element("span", { class: "number", "aria-hidden": "true" });
    const take = () => explorer.move(dimension, values[step]);
    const tile = button(canvas, take, { class: "tile", "data-step": step });
    tile.append(number);
    return { tile, canvas, number };
  });
  const box = element("div", { class: "multiples empty" }, caption,
    element("div", { class: "tiles" }, ...pictures.map(({ tile }) => tile)));

  function current(touched, [lo, hi]) {
    const same = dimension === touched && values[0] === lo && values[count - 1] === hi;
    return same && code.every((z, i) => i === dimension || z === explorer.code[i]);
  }

  function begin(touched, [lo, hi]) {
    timer = null;
    dimension = touched;
    code.set(explorer.code);
    const name = explorer.names[dimension];
    caption.textContent = `${name} from ${signed(lo, 1)} to ${signed(hi, 1)}, all else as it is`;
    pictures.forEach(({ tile, number }, step) => {
      values[step] = lo + ((hi - lo) * step) / (count - 1);
      number.textContent = signed(values[step]).replace(/\.?0+$/, "");
      tile.setAttribute("aria-label", `${name} at ${signed(values[step])}`);
    });
    mark();
    cancel = decodeWhenIdle(explorer, pictures.map(({ canvas }) => canvas), (step) => {
      code[dimension] = values[step];
      return code;
    }, () => box.classList.remove("empty", "stale"));
  }

  function mark() {
    const place = (explorer.code[dimension] - values[0]) / (values[count - 1] - values[0]);
    const nearest = Math.round(place * (count - 1));
    pictures.forEach(({ tile }, step) => tile.setAttribute("aria-pressed", step === nearest));
  }

  explorer.disposals.push(() => {
    clearTimeout(timer);
    cancel();
  });

  return {
    element: box,
    update(touched, limits) {
      if (timer === null && current(touched, limits)) {
        mark();
        return;
      }
      clearTimeout(timer);
      cancel();
      box.classList.add("stale");
      timer = setTimeout(begin, 150, touched, limits.slice());
    },
  };
}

/** Decodes codeOf(i) on each canvas, one an idle moment, so that no frame waits.
 *
 * `done()` is called after the last. The result calls it off. */
function decodeWhenIdle(explorer, canvases, codeOf, done = () => {}) {
  // Safari has no idle callbacks.
  const idle = globalThis.requestIdleCallback ?? ((work) => setTimeout(work, 16));
  const callOff = globalThis.cancelIdleCallback ?? clearTimeout;
  const [, height, width] = explorer.shape;
  const data = new ImageData(width, height);
  let next = 0;
  let request = idle(draw, { timeout: 1000 });

  function draw() {
    paint(canvases[next], explorer.decode(codeOf(next)), explorer.shape, data);
    next += 1;
    if (next < canvases.length) request = idle(draw, { timeout: 1000 });
    else done();
  }

  return () => callOff(request);
}
