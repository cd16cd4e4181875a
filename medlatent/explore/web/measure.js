/* Measure: what a network in the page finds in each decoded picture, class by class, in pixels and in a unit. */

/* Okabe and Ito's (2008), told apart with any colour vision, and by their lightness; on grey, with a dark edge. */
const OUTLINES = ["#f0e442", "#56b4e9", "#d55e00", "#009e73", "#cc79a7", "#e69f00"];
const BUDGET = 12; // ms in which a frame must be decoded and measured; at 60 frames a second it has 16.7
const SLICE = 4; // ms of measuring at a time where that is too little
const LATE = 250; // ms after which what was found in an earlier picture is pale, and its outlines go

/** Measures the decoded pictures, and shows what it finds below them.
 *
 * Where the network is quick enough, by the clock, it runs in the frame of the picture. Elsewhere it runs in slices
 * between the frames, which stay as quick as they are, and follows the picture as well as it can. */
class Measurement {
  constructor(explorer, network) {
    this.explorer = explorer;
    this.network = network;
    const { classes, unit, calibration } = explorer.model.get("segmentation");
    Object.assign(this, { classes, unit, calibration });
    this.asked = null; // the latest picture: {pixels, code, home, isHome, when}
    this.measured = null; // the one that was measured last
    this.found = null; // in it: labels, logits and counts of each of its pictures
    this.late = false;
    this.atHome = new WeakMap(); // counts by the code that changes are counted from
    this.times = []; // the last four, in ms
    this.working = false;
    this.outlined = false;
    const { sheet, shape: [, height] } = explorer;
    this.enlarged = Math.max(2, Math.ceil(512 / height)); // outlines are finer than pixels
    this.canvas = element("canvas", {
      class: "outlines", "aria-hidden": "true",
      width: this.enlarged * sheet.width, height: this.enlarged * sheet.height,
    });
    this.lines = calibration.map(() => classes.map((name, k) => quantityLine(name, OUTLINES[k])));
    // The picture's label and the line that is read aloud say the same.
    this.element = element("div", { class: "quantities", "aria-hidden": "true" },
      ...this.lines.map((lines) => element("ul", {}, ...lines.map((line) => line.element))));
    this.spoken = element("p", { class: "unseen", "aria-live": "polite" });
    this.note = element("p", { class: "note" });
    explorer.root.style.setProperty("--lines", `${20 * classes.length}px`);
    const box = element("input", { type: "checkbox", change: () => this.outline(box.checked) });
    this.toggle = element("label", { class: "check" }, box, "Outlines");
    explorer.disposals.push(() => clearTimeout(this.speaking));
  }

  /** What stands for n pixels of a class in a picture; NaN where there are none. */
  quantity(picture, k, n) {
    const [a, b] = this.calibration[picture][k];
    return n ? a * n ** b : NaN;
  }

  /** The quickest of the last four: other programs make single times longer, none makes one shorter. */
  cost() {
    return this.times.length ? Math.min(...this.times) : Infinity;
  }

  /** Called with each decoded picture, and how long that took. */
  update(pixels, ms) {
    const { code, home } = this.explorer;
    const same = (other) => code.every((z, i) => z === other[i]);
    const when = performance.now();
    this.decoding = ms;
    if (!this.asked || home !== this.asked.home || !same(this.asked.code)) {
      this.asked = { pixels, code: code.slice(), home, isHome: same(home), when };
    } else if (this.fresh || this.working) {
      return;
    }
    const known = this.asked.isHome || this.atHome.has(home);
    if (this.working || this.network.taken || !known || !this.fits()) {
      this.age();
      this.work();
      return;
    }
    const found = this.grey(pixels).map((picture) => this.classify(this.network.run([picture])[0]));
    this.took(performance.now() - when);
    this.take(found, this.asked);
  }

  fits() {
    return this.decoding + this.cost() <= BUDGET;
  }

  /** Measures in slices until nothing newer has been asked for, or until it turns out that it fits a frame. */
  async work() {
    if (this.working) return;
    this.working = true;
    try {
      while (this.network.taken) await pause(); // by another explorer of the page
      this.network.taken = this;
      while (!this.fresh) {
        const { asked } = this;
        const found = await this.inSlices(asked.pixels);
        const known = asked.isHome || this.atHome.has(asked.home);
        const start = known ? null : await this.inSlices(this.explorer.decode(asked.home));
        if (this.explorer.disposed) return;
        if (start) this.atHome.set(asked.home, start.map(({ counts }) => counts));
        this.take(found, asked);
        this.explorer.picture.label();
        if (this.fits()) break;
      }
    } catch (error) {
      this.explorer.say(`The pictures cannot be measured: ${error.message}`);
    } finally {
      if (this.network.taken === this) this.network.taken = null;
      this.working = false;
    }
    if (!this.fresh && this.fits()) this.explorer.queue();
  }

  async inSlices(pixels) {
    const found = [];
    let ms = 0;
    for (const picture of this.grey(pixels)) {
      let began = performance.now();
      this.network.load([picture]);
      for (const step of this.network.program) {
        step();
        if (performance.now() - began < SLICE) continue;
        ms += performance.now() - began;
        await pause();
        if (this.explorer.disposed) return found;
        began = performance.now();
      }
      found.push(this.classify(this.network.results()[0]));
      ms += performance.now() - began;
    }
    this.took(ms);
    return found;
  }

  took(ms) {
    this.times = [...this.times.slice(-3), ms];
  }

  /** Each channel is a picture of its own. */
  grey(pixels) {
    const area = pixels.length / this.calibration.length;
    return this.calibration.map((_, p) => pixels.subarray(p * area, (p + 1) * area));
  }

  /** The class of the largest logit of each pixel, the first of equal ones, and how many pixels each class has. */
  classify(logits) {
    const area = logits.length / (this.classes.length + 1);
    const labels = new Uint8Array(area);
    const counts = new Array(this.classes.length + 1).fill(0);
    for (let i = 0; i < area; i += 1) {
      let best = 0;
      for (let k = 1, at = i + area; k < counts.length; k += 1, at += area) {
        if (logits[at] > logits[best * area + i]) best = k;
      }
      labels[i] = best;
      counts[best] += 1;
    }
    return { labels, logits, counts };
  }

  take(found, asked) {
    this.found = found;
    this.measured = asked;
    if (asked.isHome) this.atHome.set(asked.home, found.map(({ counts }) => counts));
    this.show();
  }

  /** Whether what was found belongs to the picture that is seen. */
  get fresh() {
    return this.measured === this.asked;
  }

  /** Marks what belongs to a picture that is long gone. */
  age() {
    const late = !this.fresh && !(performance.now() - this.measured?.when <= LATE);
    if (late === this.late) return;
    this.late = late;
    this.element.classList.toggle("stale", late);
    this.draw();
  }

  /** Shows what was found last. */
  show() {
    const { found, measured, explorer } = this;
    const start = measured.isHome ? null : this.atHome.get(measured.home);
    this.lines.forEach((lines, p) => lines.forEach((line, k) => {
      const n = found[p].counts[k + 1];
      const before = start?.[p][k + 1] ?? 0;
      line.say(...this.inWords(p, k, n, before, !measured.isHome));
    }));
    this.late = null;
    this.age();
    const { changed } = explorer.model.get("segmentation");
    const rounded = changed
      ? ` In 16 bits at most ${changed} of ${found[0].labels.length} pixels fall into another class than in PyTorch.` : "";
    this.note.textContent = `Measured in your browser in ${this.times.at(-1).toFixed(1)} ms: the pixels of each class`
      + `${this.unit && `, calibrated in ${this.unit}`}; in brackets the change since the ${explorer.homeName}.${rounded}`;
    clearTimeout(this.speaking);
    if (!measured.isHome || this.spoken.textContent) {
      this.speaking = setTimeout(() => { this.spoken.textContent = this.words(); }, 700); // when it has come to rest
    }
  }

  /** A quantity and its change: no finer than a tenth of them is a pixel. */
  inWords(picture, k, n, before, moved) {
    const value = this.quantity(picture, k, n);
    const old = this.quantity(picture, k, before);
    if (!n) return ["–", ""];
    const reference = before || n;
    const pixel = this.quantity(picture, k, reference) * this.calibration[picture][k][1] / reference;
    const digits = clamp(Math.floor(-Math.log10(pixel)), 0, 6);
    const quantity = withUnit(value.toFixed(digits), this.unit);
    if (!moved || !before) return [quantity, ""];
    const change = signed(value - old, digits);
    return [quantity, Number(change) === 0 ? "(±0)" : `(${change})`];
  }

  /** What is shown, as a sentence; nothing where it does not belong to the picture. */
  words() {
    if (!this.found || !this.fresh) return "";
    const { pictures } = this.explorer;
    const said = this.lines.map((lines, p) =>
      (pictures.length ? `${pictures[p]}: ` : "") + lines.map((line) => line.text()).join(", "));
    return `Measured: ${said.join("; ")}.`;
  }

  outline(on) {
    this.outlined = on;
    this.element.classList.toggle("outlined", on);
    this.draw();
  }

  /** Draws the outlines over the picture. */
  draw() {
    const { canvas, enlarged, explorer: { shape: [, height, width] } } = this;
    const context = canvas.getContext("2d");
    context.clearRect(0, 0, canvas.width, canvas.height);
    if (!this.outlined || this.late || !this.found) return;
    const paths = this.found.map((found) =>
      this.classes.map((_, k) => outlineOf(found, k + 1, height, width)));
    const stroke = (k, colour, thickness) => paths.forEach((ofPicture, p) => {
      context.save();
      context.scale(enlarged, enlarged);
      context.translate(p * (width + GAP), 0);
      context.beginPath();
      context.rect(0, 0, width, height);
      context.clip();
      Object.assign(context, { strokeStyle: colour, lineWidth: thickness / enlarged, lineCap: "round" });
      context.stroke(ofPicture[k]);
      context.restore();
    });
    const unit = canvas.height / 512;
    const order = [...this.classes.keys()].reverse(); // where two classes meet, the colour is that of the first
    for (const k of order) stroke(k, "rgb(0 0 0 / 65%)", 8 * unit);
    for (const k of order) stroke(k, OUTLINES[k], 4 * unit);
  }
}

/** Lets frames and the reader's moves come between. */
function pause() {
  return new Promise((resolve) => { setTimeout(resolve); });
}

/** "LV 142 ml (+23)", behind a stroke in the colour of its outline. */
function quantityLine(name, colour) {
  const value = element("span", { class: "number" });
  const change = element("span", { class: "number change" });
  const mark = element("span", { class: "stroke", style: `background: ${colour}` });
  const measured = element("span", { class: "measured" }, value, " ", change);
  const line = element("li", {}, element("span", { class: "of" }, mark, name), " ", measured);
  return {
    element: line,
    text: () => line.textContent.trim().replace("–", "none"),
    say(quantity, difference) {
      value.textContent = quantity;
      change.textContent = difference;
    },
  };
}

/** The outline of a class: between the pixels' centres, where its logit and that of the neighbour's class are equal.
 *
 * Marching squares: each square of four centres contributes the pieces that part those inside from those outside. */
function outlineOf({ labels, logits }, k, height, width) {
  const path = new Path2D();
  const area = height * width;
  const at = (y, x) => (y >= 0 && y < height && x >= 0 && x < width ? y * width + x : -1);
  const isInside = (i) => i >= 0 && labels[i] === k;

  /** How far from an inner pixel towards an outer one, as a share; at the edge of the picture in the middle. */
  function share(inner, outer) {
    if (outer < 0) return 0.5;
    const lead = (i) => logits[k * area + i] - logits[labels[outer] * area + i];
    const [ahead, behind] = [lead(inner), lead(outer)];
    return ahead > behind ? ahead / (ahead - behind) : 0.5;
  }

  /** Where the outline crosses from the corner (y, x) to a neighbouring one, in pixels of the picture. */
  function crossing([y, x], [v, u]) {
    const [from, to] = [at(y, x), at(v, u)];
    const t = isInside(from) ? share(from, to) : 1 - share(to, from);
    return [x + t * (u - x) + 0.5, y + t * (v - y) + 0.5];
  }

  for (let y = -1; y < height; y += 1) {
    for (let x = -1; x < width; x += 1) {
      const corners = [[y, x], [y, x + 1], [y + 1, x + 1], [y + 1, x]]; // clockwise
      const inside = corners.map((corner) => isInside(at(...corner)));
      const many = inside.filter(Boolean).length;
      if (many === 0 || many === 4) continue;
      // Behind each corner inside that follows one outside the outline comes in, and where they end it goes out.
      for (let c = 0; c < 4; c += 1) {
        if (!inside[c] || inside[(c + 3) % 4]) continue;
        let last = c;
        while (inside[(last + 1) % 4]) last = (last + 1) % 4;
        path.moveTo(...crossing(corners[(c + 3) % 4], corners[c]));
        path.lineTo(...crossing(corners[last], corners[(last + 1) % 4]));
      }
    }
  }
  return path;
}
