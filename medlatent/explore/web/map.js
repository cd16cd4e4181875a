/* Map: the codes of many images over two dimensions, before the contours of the prior. */

/* One shape a class, on a circle of radius 1: colour alone would not do. */
const SHAPES = [
  "M1 0A1 1 0 1 1-1 0A1 1 0 1 1 1 0Z",
  "M-.85-.85H.85V.85H-.85Z",
  "M0-1.1L1.05.8H-1.05Z",
  "M0-1.25L1.05 0L0 1.25L-1.05 0Z",
  "M0 1.1L1.05-.8H-1.05Z",
  "M-.35-1.1H.35V-.35H1.1V.35H.35V1.1H-.35V.35H-1.1V-.35H-.35Z",
  "M0-1.3L.36-.42L1.27-.38L.55.18L.8 1.05L0 .55L-.8 1.05L-.55.18L-1.27-.38L-.36-.42Z",
];
/* Viridis, a perceptually uniform ramp. */
const VIRIDIS = ["#440154", "#482878", "#3e4989", "#31688e", "#26828e", "#1f9e89", "#35b779",
  "#6ece58", "#b5de2b", "#fde725"];
const DIRECTIONS = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };

const mapView = {
  label: "Map",
  build: (explorer) => new CodeMap(explorer),
};

class CodeMap {
  constructor(explorer) {
    const { model, names, nats } = explorer;
    const bytes = model.get("points");
    this.explorer = explorer;
    this.count = model.get("point_count");
    this.size = names.length;
    const used = bytes.byteOffset + 4 * this.count * this.size;
    this.points = new Float32Array(bytes.buffer.slice(bytes.byteOffset, used));
    this.labels = model.get("labels");
    this.colourBy(this.labels[0] ?? null);
    const dimensions = [...names.keys()];
    if (nats.length) dimensions.sort((i, j) => nats[j] - nats[i]);
    this.axes = dimensions.slice(0, 2);
    this.chosen = null; // the point the pointer or the keyboard is at

    const text = (i) => names[i] + (nats.length ? `, ${nats[i].toFixed(2)} nats` : "");
    const options = dimensions.map((i) => [i, text(i)]);
    this.selects = ["Across", "Up"].map((label, axis) =>
      choice(label, options, this.axes[axis], (value) => this.turn(axis, Number(value))));
    const controls = element("div", { class: "choices" }, ...this.selects);
    if (this.labels.length) {
      controls.append(choice("Colour", this.labels.map(({ name }, i) => [i, name]), 0, (value) => {
        this.colourBy(this.labels[value]);
        this.choose(null);
        this.draw();
      }));
    }
    this.canvas = element("canvas", {
      class: "map", tabindex: 0, role: "application", "data-lm-suppress-shortcuts": "true",
      pointermove: (event) => this.choose(this.nearest(event)),
      pointerleave: () => this.choose(null),
      click: (event) => this.loadPoint(this.nearest(event)),
      keydown: (event) => this.key(event),
    });
    this.cross = this.buildCross();
    this.ring = element("span", { class: "ring", hidden: true });
    this.legend = element("div", { class: "legend" });
    this.named = element("p", { class: "words named" });
    const hint = "Click a point to load its code; drag the cross to move the two dimensions. "
      + "Keyboard: arrow keys go from point to point, Enter loads.";
    this.element = element("div", { class: "code-map" }, controls,
      element("div", { class: "plot" }, this.canvas, this.ring, this.cross),
      this.named, this.legend, element("p", { class: "note" }, hint));

    const resized = new ResizeObserver(() => this.draw());
    resized.observe(this.canvas);
    explorer.disposals.push(() => resized.disconnect());
  }

  /** The present code: an element of its own, so that fingers beside it scroll the page. */
  buildCross() {
    let began = null;
    const cross = element("span", {
      class: "cross", tabindex: 0, role: "slider", "aria-label": "Present code",
      "aria-roledescription": "two-dimensional slider", "data-lm-suppress-shortcuts": "true",
      pointerdown: (event) => {
        cross.setPointerCapture(event.pointerId);
        began = { x: event.clientX, y: event.clientY, moved: false };
      },
      pointermove: (event) => {
        if (!began) return;
        began.moved ||= Math.hypot(event.clientX - began.x, event.clientY - began.y) > 3;
        if (began.moved) this.moveTo(...this.position(event));
      },
      pointerup: (event) => {
        // Pressed but not dragged: it is the point below that was meant.
        if (began && !began.moved) this.loadPoint(this.nearest(event));
        began = null;
      },
      pointercancel: () => { began = null; },
      keydown: (event) => {
        const direction = DIRECTIONS[event.key];
        if (!direction) return;
        event.preventDefault();
        const [x, y] = this.axes.map((i, axis) => this.explorer.code[i] + 0.1 * direction[axis]);
        this.moveTo(x, y);
      },
    });
    return cross;
  }

  colourBy(label) {
    this.label = label;
    this.span = label && [Math.min(...label.values), Math.max(...label.values)];
  }

  /** Puts a dimension on an axis; where the other axis has it, the two change places. */
  turn(axis, dimension) {
    if (this.axes[1 - axis] === dimension) this.axes[1 - axis] = this.axes[axis];
    this.axes[axis] = dimension;
    this.selects.forEach((label, i) => { label.querySelector("select").value = this.axes[i]; });
    this.choose(null);
    this.draw();
    this.explorer.queue();
  }

  moveTo(x, y) {
    const inside = (value) => hundredths(clamp(value, -this.reach, this.reach));
    this.explorer.code[this.axes[0]] = inside(x);
    this.explorer.move(this.axes[1], inside(y));
  }

  loadPoint(point) {
    if (point === null) return;
    const code = this.points.subarray(point * this.size, (point + 1) * this.size);
    this.explorer.load(code);
    this.explorer.say(`Loaded: ${this.describePoint(point)}.`);
  }

  value(point, axis) {
    return this.points[point * this.size + this.axes[axis]];
  }

  describePoint(point) {
    const { names, scales } = this.explorer;
    const place = this.axes.map((i, axis) => `${names[i]} ${scales[i].show(this.value(point, axis))}`);
    const parts = [`image ${point + 1} of ${this.count}`, this.meaning(point), ...place];
    return parts.filter(Boolean).join(", ");
  }

  meaning(point) {
    if (!this.label) return "";
    const { name, kind, values, levels } = this.label;
    return `${name} ${kind === "class" ? levels[values[point]] : plain(values[point])}`;
  }

  choose(point) {
    if (this.chosen === point) return;
    this.chosen = point;
    this.named.textContent = point === null ? "" : this.describePoint(point);
    this.canvas.style.cursor = point === null ? "" : "pointer";
    this.ring.hidden = point === null;
    if (point !== null) this.put(this.ring, this.value(point, 0), this.value(point, 1));
  }

  /** The arrow keys go to the nearest point within 45° of their direction. */
  key(event) {
    if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      this.loadPoint(this.chosen);
    }
    const direction = DIRECTIONS[event.key];
    if (!direction) return;
    event.preventDefault();
    const from = (axis) => (this.chosen === null
      ? this.explorer.code[this.axes[axis]] : this.value(this.chosen, axis));
    const [x, y] = [from(0), from(1)];
    let best = null;
    let least = Infinity;
    for (let point = 0; point < this.count; point += 1) {
      const [dx, dy] = [this.value(point, 0) - x, this.value(point, 1) - y];
      const along = dx * direction[0] + dy * direction[1];
      const distance = Math.hypot(dx, dy);
      if (along > 0 && along >= distance * Math.SQRT1_2 && distance < least) {
        best = point;
        least = distance;
      }
    }
    if (best !== null) this.choose(best);
    this.explorer.say(best === null ? "No image lies farther that way." : this.describePoint(best));
  }

  /** Where on the map the pointer is, in units of the code. */
  position(event) {
    const box = this.canvas.getBoundingClientRect();
    const scale = (2 * this.reach) / this.side;
    return [(event.clientX - box.left - this.left) * scale - this.reach,
      this.reach - (event.clientY - box.top - this.top) * scale];
  }

  /** The point under the pointer, or null. */
  nearest(event) {
    const [x, y] = this.position(event);
    let best = null;
    let least = (12 * 2 * this.reach) / this.side; // pixels
    for (let point = 0; point < this.count; point += 1) {
      const distance = Math.hypot(this.value(point, 0) - x, this.value(point, 1) - y);
      if (distance < least) {
        best = point;
        least = distance;
      }
    }
    return best;
  }

  across(x) {
    return this.left + (this.side * (x + this.reach)) / (2 * this.reach);
  }

  up(y) {
    return this.top + (this.side * (this.reach - y)) / (2 * this.reach);
  }

  /** Moves a mark over the plot, at its edge where the code lies outside. */
  put(mark, x, y) {
    const inside = (value) => clamp(value, -this.reach, this.reach);
    mark.style.transform = `translate(${this.across(inside(x))}px, ${this.up(inside(y))}px)`;
  }

  update() {
    const { code, names, scales, ink } = this.explorer;
    if (ink !== this.inked) this.draw();
    const [x, y] = this.axes.map((i) => code[i]);
    this.put(this.cross, x, y);
    const words = this.axes.map((i) => `${names[i]} ${scales[i].show(code[i])}`).join(", ");
    setAttributes(this.cross, {
      "aria-valuetext": words,
      "aria-valuenow": x,
      "aria-valuemin": -this.reach,
      "aria-valuemax": this.reach,
    });
  }

  /** Draws everything but the cross: needed only when axes, colours, size or theme change. */
  draw() {
    const { names, code, scales, ink, dark } = this.explorer;
    const width = this.canvas.clientWidth;
    if (!width) return;
    this.inked = ink;
    this.paper = dark ? "#14181e" : "#fff";
    // On a dark page the dark end of the ramp would be lost.
    this.edge = dark && this.label?.kind === "continuous" ? "rgb(255 255 255 / 40%)" : this.paper;
    const dots = window.devicePixelRatio || 1;
    this.canvas.width = Math.round(width * dots);
    this.canvas.height = this.canvas.width;
    [this.left, this.top, this.side] = [42, 8, width - 50];
    this.reach = 3.3;
    for (let point = 0; point < this.count; point += 1) {
      this.reach = Math.max(this.reach, 1.05 * Math.abs(this.value(point, 0)),
        1.05 * Math.abs(this.value(point, 1)));
    }
    const context = this.canvas.getContext("2d");
    context.scale(dots, dots);
    context.font = "12px system-ui, sans-serif";
    context.fillStyle = ink;
    context.strokeStyle = ink;
    const inUnit = (i) => (scales[i].unit ? `${names[i]} (${scales[i].unit})` : names[i]);
    this.drawAxes(context, this.axes.map(inUnit));
    this.drawPrior(context);
    this.drawPoints(context);
    this.nameContours(context);
    this.drawLegend();
    this.put(this.cross, code[this.axes[0]], code[this.axes[1]]);
    const coloured = this.label ? `, coloured by ${this.label.name}` : "";
    this.canvas.setAttribute("aria-label", `Map of the codes of ${this.count} test images over `
      + `${names[this.axes[0]]} and ${names[this.axes[1]]}${coloured}. `
      + "Arrow keys go from point to point, Enter loads its code.");
  }

  drawAxes(context, [across, up]) {
    const { left, top, side, reach } = this;
    context.lineWidth = 1;
    context.globalAlpha = 0.35;
    context.strokeRect(left + 0.5, top + 0.5, side - 1, side - 1);
    context.globalAlpha = 0.75;
    const step = reach > 8 ? 4 : reach > 4.5 ? 2 : 1;
    for (let tick = -Math.floor(reach / step) * step; tick <= reach; tick += step) {
      context.fillRect(this.across(tick), top + side, 1, 4);
      context.fillRect(left - 4, this.up(tick), 4, 1);
      const [text, beside] = this.axes.map((i) => this.explorer.scales[i].brief(tick));
      context.textAlign = "center";
      context.fillText(text, this.across(tick), top + side + 16);
      context.textAlign = "right";
      context.fillText(beside, left - 7, this.up(tick) + 4);
    }
    context.globalAlpha = 1;
    context.textAlign = "center";
    context.fillText(across, left + side / 2, top + side + 33);
    context.save();
    context.translate(11, top + side / 2);
    context.rotate(-Math.PI / 2);
    context.fillText(up, 0, 0);
    context.restore();
  }

  drawPrior(context) {
    for (const deviations of [3, 2, 1]) {
      const radius = (deviations * this.side) / (2 * this.reach);
      context.beginPath();
      context.arc(this.across(0), this.up(0), radius, 0, 2 * Math.PI);
      context.globalAlpha = 0.04;
      context.fill();
      context.globalAlpha = 0.3;
      context.stroke();
    }
    context.globalAlpha = 1;
  }

  drawPoints(context) {
    const shapes = SHAPES.map((d) => new Path2D(d));
    context.lineWidth = 0.25; // in units of a shape
    for (let point = 0; point < this.count; point += 1) {
      const { colour, shape } = this.look(point);
      context.save();
      context.translate(this.across(this.value(point, 0)), this.up(this.value(point, 1)));
      context.scale(4, 4);
      context.fillStyle = colour;
      context.strokeStyle = this.edge;
      context.globalAlpha = 0.85;
      context.fill(shapes[shape]);
      context.stroke(shapes[shape]);
      context.restore();
    }
  }

  nameContours(context) {
    context.textAlign = "center";
    context.strokeStyle = this.paper;
    context.lineWidth = 4;
    for (const deviations of [1, 2, 3]) {
      const diagonal = deviations * Math.SQRT1_2;
      const place = [this.across(diagonal), this.up(-diagonal) + 4];
      context.strokeText(`${deviations}σ`, ...place);
      context.fillText(`${deviations}σ`, ...place);
    }
  }

  look(point) {
    if (!this.label) return { colour: COLOURS[0], shape: 0 };
    const { kind, values } = this.label;
    if (kind === "class") return classLook(values[point]);
    const [lo, hi] = this.span;
    return { colour: viridis((values[point] - lo) / (hi - lo || 1)), shape: 0 };
  }

  drawLegend() {
    if (!this.label) return;
    const { name, kind, levels } = this.label;
    if (kind === "class") {
      this.legend.replaceChildren(...levels.map((level, i) => {
        const { colour, shape } = classLook(i);
        const mark = pathDrawing("-1.4 -1.4 2.8 2.8", SHAPES[shape], { fill: colour });
        return element("span", { class: "entry" }, mark, level);
      }));
      return;
    }
    const [lo, hi] = this.span;
    this.legend.replaceChildren(element("span", {}, `${name}: ${plain(lo)}`),
      element("span", { class: "bar", style: `background: ${ramp(VIRIDIS)}` }),
      element("span", {}, plain(hi)));
  }
}

/** Every class its colour and shape; after the seventh the colours return in other shapes. */
function classLook(index) {
  const shape = (index + Math.floor(index / COLOURS.length)) % SHAPES.length;
  return { colour: COLOURS[index % COLOURS.length], shape };
}

/** The colour of a share between 0 and 1. */
function viridis(share) {
  const place = share * (VIRIDIS.length - 1);
  const below = Math.min(Math.floor(place), VIRIDIS.length - 2);
  const channels = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
  const [from, to] = [channels(VIRIDIS[below]), channels(VIRIDIS[below + 1])];
  const mixed = from.map((value, k) => Math.round(value + (place - below) * (to[k] - value)));
  return `rgb(${mixed.join(" ")})`;
}

/** A number with three digits, without the zeros behind. */
function plain(value) {
  return String(Number(value.toPrecision(3))).replace("-", "−");
}
