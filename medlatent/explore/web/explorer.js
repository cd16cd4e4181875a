/* The explorer: a picture decoded in the reader's browser, and views that move its code. */

const COLOURS = ["#3a86c8", "#d8772a", "#2f9e77", "#b65fb0", "#c2a22b", "#c8504b", "#7d8790"];

/* The views a reader may have. A new one is an entry here and a file of its own:
     label             what its tab says
     build(explorer)   called once, when first selected; returns
       element         what stands in the panel
       update(spent)   called after each picture while the view is selected: show explorer.code;
                       the picture has taken `spent` ms of the frame
       describe()      if there is one: says how the code was made, in place of what moved
       caption()       if there is one: what stands below the picture, where no original is beside it
       home()          if there is one: the code that changes are counted from while the view is
                       selected, a new array for each; homeName says what it is
       choosesImages   true where the view has the images itself: the strip of them is hidden
   A view moves the code with explorer.move(dimension, value), explorer.load(code),
   explorer.encode(i) or explorer.animate(step). What is not part of its element (observers, timers)
   it gives back in a function handed to explorer.disposals.push. At hand: slider, smallMultiples,
   decodeAtRest and decodeWhenIdle (traverse.js), canvasFor, paint and choice (below), element and
   button (elements.js). */
const VIEWS = {
  codes: codesView, directions: directionsView, label: labelView, traverse: traverseView, map: mapView,
  walk: walkView, hybrid: hybridView,
};

class Explorer {
  constructor(model, el) {
    this.model = model;
    this.id = `lm${Math.random().toString(36).slice(2, 10)}`; // each view has a scope of its own
    this.root = element("div", { class: "medlatent-explorer", role: "group" });
    this.root.dataset.frames = 0;
    this.moved = null; // the dimension that the reader moved last
    this.disposals = [() => this.root.remove()];
    el.append(this.root);
  }

  /** Opens the decoder, builds the controls and draws the first picture. */
  async start() {
    const { model } = this;
    this.decoder = await this.open("decoder");
    if (this.disposed) return;
    this.shape = this.decoder.outputs[0];
    this.pictures = model.get("pictures"); // the channels' names, where each is a picture of its own
    this.count = this.pictures.length || 1;
    const named = (this.count > 1 ? "from left to right, " : "") + this.pictures.join(", ");
    this.inOrder = named && `, ${named}`;
    this.inEach = named && `; in each, ${named}`;
    const [, height, width] = this.shape;
    this.sheet = new ImageData(this.count * (width + GAP) - GAP, height);
    this.names = model.get("names");
    this.nats = model.get("nats");
    this.limits = model.get("limits"); // of every dimension
    const scales = model.get("scales");
    this.scales = this.names.map((_, i) => (scales[i] ? scaleIn(scales[i]) : PLAIN)); // how each is said
    this.noise = model.get("noise"); // the dimensions drawn from N(0, 1) around their centre: mostly all
    this.centre = model.get("centre");
    this.normal = normalDraws();
    this.draws = 0;
    this.drawn = model.get("hybrid").style ? "style" : "noise"; // by a button, where all else stays
    this.origin = Float64Array.from(model.get("start"));
    this.code = Float64Array.from(model.get("code"));
    this.input = new Float32Array(this.code.length);
    this.ground = this.origin; // the start, or an encoded image
    this.images = []; // of the strip: {name, pixels, tile}
    this.image = null; // the one that was encoded
    this.readTheme();
    const unmeasured = await this.openMeasurement();
    if (this.disposed) return;
    this.build();
    if (unmeasured) this.say(`The pictures cannot be measured: ${unmeasured.message}`);
    this.listen();
    this.queue();
  }

  async open(part) {
    const graph = this.model.get("networks")[part];
    const weights = this.model.get(`${part}_weights`);
    if (!graph || !weights?.byteLength) {
      throw new Error(`the weights of its ${part} are missing: run its cell again, and save`);
    }
    if (typeof WebAssembly === "undefined") {
      throw new Error("this browser does not allow WebAssembly, which decodes the pictures");
    }
    return openNetwork(graph, weights);
  }

  /** The network that measures the pictures, where there is one; what goes wrong with it leaves the rest alive. */
  async openMeasurement() {
    if (!this.model.get("networks").segmentation) return null;
    try {
      this.measurement = new Measurement(this, await this.open("segmentation"));
      return null;
    } catch (error) {
      return error;
    }
  }

  build() {
    const title = this.model.get("title");
    this.root.setAttribute("aria-label", title || "Explorer of a latent space");
    this.status = element("p", { class: "status", role: "status" });
    this.root.style.setProperty("--pictures", this.count);
    this.root.classList.toggle("several", this.count > 1);
    this.picture = pictureColumn(this);
    const widest = this.scales.flatMap((scale, i) => (scale.unit ? this.limits[i].map((z) => scale.show(z).length) : []));
    if (widest.length) this.root.style.setProperty("--value", `${Math.max(...widest)}ch`);
    this.panel = element("div", { class: "panel" });
    this.built = {};
    const views = this.model.get("views");
    const unknown = views.find((name) => !VIEWS[name]);
    if (unknown) throw new Error(`it has no view ${unknown}: ${Object.keys(VIEWS).join(", ")}`);
    const right = element("div", { class: "views" });
    if (views.length > 1) right.append(this.tabList(views));
    right.append(this.panel);
    if (title) this.root.append(element("p", { class: "title" }, title));
    const { pictures, tools } = this.picture;
    const layout = element("div", { class: "layout" }, pictures, right, tools);
    if (this.model.get("image_shape")[0] && this.model.get("networks").encoder) {
      this.strip = imageStrip(this);
      layout.append(this.strip);
    }
    this.root.append(layout);
    this.select(views[0]);
  }

  tabList(views) {
    this.tabs = views.map((name, index) => button(VIEWS[name].label, () => this.select(name), {
      role: "tab", id: `${this.id}-${name}`, "aria-controls": `${this.id}-panel`, "data-view": name,
      keydown: (event) => {
        const last = views.length - 1;
        const next = { ArrowRight: index + 1, ArrowLeft: index - 1, Home: 0, End: last }[event.key];
        if (next === undefined) return;
        event.preventDefault();
        const name = views[(next + views.length) % views.length];
        this.select(name);
        this.tabs.find((tab) => tab.dataset.view === name).focus();
      },
    }));
    setAttributes(this.panel, { role: "tabpanel", id: `${this.id}-panel` });
    return element("div", { class: "tabs", role: "tablist", "aria-label": "Views" }, ...this.tabs);
  }

  select(name) {
    this.animation = null;
    this.view = this.built[name] ??= VIEWS[name].build(this);
    this.picture.compare();
    this.panel.replaceChildren(this.view.element);
    if (this.strip) this.strip.hidden = Boolean(this.view.choosesImages);
    for (const tab of this.tabs ?? []) {
      const selected = tab.dataset.view === name;
      setAttributes(tab, { "aria-selected": String(selected), tabindex: selected ? 0 : -1 });
      if (selected) this.panel.setAttribute("aria-labelledby", tab.id);
    }
    this.queue();
  }

  /* Whoever changes the code, the model is told and tells everybody: this view, others, Python. */
  listen() {
    const follow = () => {
      const code = this.model.get("code");
      if (this.publishing || code.length !== this.code.length) return;
      if (this.saving) { // a kernel that answers what it was sent before: what the reader does now is newer
        this.publishing = true;
        this.model.set("code", Array.from(this.code));
        this.publishing = false;
        return;
      }
      this.animation = null;
      this.code.set(code);
      this.queue();
    };
    this.model.on("change:code", follow);
    const themes = new MutationObserver(() => this.readTheme());
    const sizes = new ResizeObserver(() => this.readTheme()); // it may be put on the page later
    sizes.observe(this.root);
    const host = ["data-theme", "data-jp-theme-light", "data-vscode-theme-kind", "theme"];
    for (const node of [document.documentElement, document.body]) {
      themes.observe(node, { attributeFilter: host });
    }
    this.disposals.push(
      () => this.model.off("change:code", follow),
      () => themes.disconnect(),
      () => sizes.disconnect(),
    );
  }

  /** The colours of the canvases follow the page's: light ink means a dark page. */
  readTheme() {
    const ink = getComputedStyle(this.root).color || "rgb(0, 0, 0)";
    if (ink === this.ink) return;
    this.ink = ink;
    const [red, green, blue] = ink.match(/[\d.]+/g).map(Number);
    this.dark = 0.299 * red + 0.587 * green + 0.114 * blue > 127;
    this.queue();
  }

  move(dimension, value) {
    this.animation = null;
    this.moved = dimension;
    this.code[dimension] = value;
    this.publish();
  }

  /** Takes a whole code; what "difference" compares with is the start, or the encoded `image`. */
  load(code, image = null) {
    this.animation = null;
    this.moved = null;
    this.code.set(code);
    this.image = image;
    this.ground = image ? this.code.slice() : this.origin;
    this.picture.compare();
    this.publish();
  }

  /** `step(now)` changes explorer.code before each picture, until something else moves the code. */
  animate(step) {
    this.animation = (now) => {
      step(now);
      this.publish();
    };
    this.queue();
  }

  publish() {
    this.publishing = true;
    this.model.set("code", Array.from(this.code));
    this.publishing = false;
    this.saving ??= setTimeout(() => this.save(), 100); // to Python at most ten times a second
    this.queue();
  }

  save() {
    clearTimeout(this.saving);
    this.saving = null;
    this.model.save_changes();
  }

  /** The pixels (C, H, W) of a code. */
  decode(code) {
    this.input.set(code);
    return this.decoder.run([this.input])[0];
  }

  /** The mean of the posterior of image `index` becomes the code. */
  async encode(index) {
    try {
      this.encoder ??= await this.open("encoder");
      if (this.disposed) return;
      const image = this.images[index];
      this.load(this.encoder.run([image.pixels])[0], image);
      const made = this.count > 1 ? "pictures are" : "picture is";
      this.say(`Encoded: ${image.name}. The ${made} decoded from the mean of its posterior.`);
    } catch (error) {
      this.say(`The image cannot be encoded: ${error.message}`);
    }
  }

  /** Draws the noise anew. */
  random() {
    const code = this.code.slice();
    for (const dimension of this.noise) code[dimension] = this.centre[dimension] + this.normal();
    this.load(code);
    this.draws += 1;
    this.say(this.noise.length === code.length
      ? `Draw ${this.draws} from the prior: every dimension changed.`
      : `Draw ${this.draws} of the ${this.drawn}.`);
  }

  reset() {
    this.load(this.origin);
    this.say("Back at the start.");
  }

  /** Asks for one picture; any number of changes before it is drawn share it. */
  queue() {
    if (!this.view || this.disposed) return;
    this.request ??= requestAnimationFrame((now) => this.frame(now));
  }

  frame(now) {
    try {
      this.animation?.(now);
      this.request = null;
      const began = performance.now();
      const pixels = this.decode(this.code);
      const ms = performance.now() - began;
      this.measurement?.update(pixels, ms);
      this.picture.update(pixels, ms);
      this.view.update(performance.now() - began);
      const { dataset } = this.root;
      dataset.ms = ms.toFixed(2);
      dataset.frames = Number(dataset.frames) + 1;
      dataset.ready = "true";
      if (this.animation) this.queue();
    } catch (error) {
      this.fail(error);
    }
  }

  /** What changes are counted from. */
  get home() {
    return this.view?.home?.() ?? this.ground;
  }

  get homeName() {
    return this.view?.homeName ?? (this.image ? "reconstruction" : "start");
  }

  say(text) {
    this.status.textContent = text;
  }

  fail(error) {
    this.dispose(false);
    const text = `This explorer cannot run here: ${error.message}`;
    this.root.replaceChildren(element("p", { class: "failure", role: "alert" }, text));
  }

  dispose(remove = true) {
    this.disposed = true;
    cancelAnimationFrame(this.request);
    if (this.saving) this.save();
    for (const undo of this.disposals.splice(remove ? 0 : 1)) undo();
  }
}

/** The picture (and the original), and below it the buttons and what is to be known of the code. */
function pictureColumn(explorer) {
  const crisp = Math.max(...explorer.shape.slice(1)) < 64 ? " crisp" : "";
  const canvas = canvasFor(explorer, { class: `picture${crisp}`, role: "img" });
  const original = canvasFor(explorer, { class: `original${crisp}`, role: "img" });
  const [quality, caption, scale] = [1, 2, 3].map(() => element("p", { class: "words" }));
  const beside = element("div", { hidden: true }, ...withNames(explorer, original), caption);
  const { measurement } = explorer;
  const seen = measurement ? element("div", { class: "stack" }, canvas, measurement.canvas) : canvas;
  const decoded = element("div", {}, ...withNames(explorer, seen));
  decoded.append(...(measurement ? [measurement.element, measurement.spoken] : []), quality);
  const pictures = element("div", { class: "pictures" }, decoded, beside);
  const colours = ramp(["#3a86c8", "transparent", "#d8772a"]);
  const legend = element("div", { class: "difference", hidden: true },
    element("div", { class: "bar", style: `background: ${colours}` }), scale);
  const toggle = button("Difference to the start", () => {
    const on = toggle.getAttribute("aria-pressed") !== "true";
    toggle.setAttribute("aria-pressed", on);
    legend.hidden = !on;
    explorer.queue();
  }, { "aria-pressed": "false" });
  const { noise, code } = explorer;
  const buttons = element("div", { class: "buttons" },
    button("Reset", () => explorer.reset()),
    button(noise.length === code.length ? "Random" : `New ${explorer.drawn}`, () => explorer.random(),
      { hidden: !noise.length }),
    toggle, button("Copy PNG", async () => explorer.say(await copyPicture(explorer, canvas))));
  if (measurement) toggle.after(measurement.toggle);
  const { element: prior, update: updateNorm } = normGauge(explorer);
  prior.hidden = noise.length < code.length; // it judges by N(0, I)
  const speed = element("p", { class: "note" });
  const error = explorer.model.get("error");
  const precision = "16-bit weights"
    + (error ? `, at most ${Number((255 * error).toPrecision(1))} of 255 grey levels from PyTorch` : "");

  return {
    pictures,
    tools: element("div", { class: "tools" }, legend, buttons, explorer.status, prior,
      ...(measurement ? [measurement.note] : []), speed),

    /** The picture that "difference" compares with has changed. */
    compare() {
      const { image, images } = explorer;
      for (const each of images) each.tile.setAttribute("aria-pressed", each === image);
      toggle.textContent = `Difference to the ${explorer.homeName}`;
      beside.hidden = !image;
      pictures.classList.toggle("pair", Boolean(image));
      quality.textContent = "";
      if (!image) return;
      paint(original, image.pixels, explorer);
      original.setAttribute("aria-label", `Original: ${image.name}${explorer.inOrder}`);
      caption.textContent = `Original: ${image.name}`;
    },

    /** What the picture shows, for those who do not see it. */
    label() {
      const words = [describePicture(explorer, !legend.hidden), measurement?.words()];
      canvas.setAttribute("aria-label", words.filter(Boolean).join(" "));
    },

    update(pixels, ms) {
      speed.textContent = `Decoded in your browser in ${ms.toFixed(1)} ms, ${precision}.`;
      updateNorm();
      this.label();
      const { image, view } = explorer;
      quality.textContent = image ? `Decoded, PSNR ${psnr(pixels, image.pixels).toFixed(1)} dB` : view.caption?.() ?? "";
      if (legend.hidden) {
        paint(canvas, pixels, explorer);
        return;
      }
      const full = paintDifference(canvas, pixels, explorer);
      scale.textContent = `Blue: darker than the ${explorer.homeName}, `
        + `orange: brighter; full colour is ${full} of the range from black to white.`;
    },
  };
}

function describePicture(explorer, difference) {
  const { code, home, homeName, names, scales, noise, image, count, inOrder, view } = explorer;
  const origin = image && !view.home ? `reconstruction of ${image.name}` : homeName;
  const moved = [...code.keys()].filter((i) => Math.abs(code[i] - home[i]) >= 0.005);
  moved.sort((i, j) => noise.includes(i) - noise.includes(j)
    || Math.abs(code[j] - home[j]) - Math.abs(code[i] - home[i]));
  const values = moved.slice(0, 5).map((i) => `${names[i]} ${scales[i].show(code[i])}`).join(", ");
  const more = moved.length > 5 ? ` and ${moved.length - 5} more dimensions` : "";
  const decoded = count > 1 ? "Decoded pictures" : "Decoded picture";
  const what = (difference ? `Difference to the ${origin}` : decoded) + inOrder;
  const made = view.describe?.();
  if (made) return `${what}; ${made}.`;
  return moved.length ? `${what}; moved: ${values}${more}.` : `${what}; at the ${origin}.`;
}

const RARE = 2.58; // standard deviations: 99 draws in 100 of one dimension are nearer

/** The squared length of the code against that of draws from the prior, D ± √(2D); and the dimension just moved, which
 * may be far out in a code whose length is not. */
function normGauge(explorer) {
  const { centre, names } = explorer;
  const dimensions = centre.length;
  const spread = Math.sqrt(2 * dimensions);
  const top = dimensions + 5 * spread;
  const percent = (value) => `${(100 * clamp(value, 0, top)) / top}%`;
  const left = percent(dimensions - spread);
  const width = percent(dimensions + spread - Math.max(dimensions - spread, 0));
  const mark = element("span", { class: "mark" });
  const band = element("span", { class: "band", style: `left: ${left}; width: ${width}` });
  const value = element("span", { class: "number" });
  const verdict = element("span", {});
  const draw = `${dimensions} ± ${Number(spread.toPrecision(2))}`;
  return {
    element: element("div", { class: "norm" },
      element("p", { class: "note" },
        "‖z‖², the squared length of the code, is ", value, `; a draw from the prior has ${draw}: `, verdict),
      element("div", { class: "gauge", "aria-hidden": "true" }, band, mark)),
    update() {
      const { code, moved } = explorer;
      const norm = code.reduce((sum, z, i) => sum + (z - centre[i]) ** 2, 0);
      // A sum of few squares is skewed; its cube root is nearly normal (Wilson and Hilferty, 1931).
      const variance = 2 / (9 * dimensions);
      const distance = (Math.cbrt(norm / dimensions) - (1 - variance)) / Math.sqrt(variance);
      value.textContent = norm.toFixed(1);
      mark.style.left = percent(norm);
      const whole = Math.abs(distance) <= 2 ? "typical."
        : distance < 0 ? "nearer to the centre than draws." : "farther out than draws.";
      const out = moved === null ? 0 : Math.abs(code[moved] - centre[moved]);
      verdict.textContent = out <= RARE ? whole
        : `${whole} ${names[moved]} by itself is ${out.toFixed(1)} standard deviations out: 99 draws in 100 are nearer.`;
    },
  };
}

/** Images of the data as buttons: a click encodes one. */
function imageStrip(explorer) {
  const bytes = explorer.model.get("images");
  const [count, ...shape] = explorer.model.get("image_shape");
  const names = explorer.model.get("image_names");
  const size = shape.reduce((product, n) => product * n, 1);
  explorer.images = Array.from({ length: count }, (_, i) => {
    const image = new Uint8Array(bytes.buffer, bytes.byteOffset + i * size, size);
    const pixels = Float32Array.from(image, (value) => value / 255);
    const canvas = canvasFor(explorer);
    paint(canvas, pixels, explorer);
    const tile = button(canvas, () => explorer.encode(i), {
      class: "tile", "data-image": i, "aria-label": `Encode this image: ${names[i]}`,
      "aria-pressed": "false", title: names[i],
    });
    return { name: names[i], pixels, tile };
  });
  return element("div", { class: "strip" },
    element("p", { class: "words" }, `Encode an image${explorer.inEach}:`),
    element("div", { class: "tiles", style: tileColumns(explorer, count) },
      ...explorer.images.map(({ tile }) => tile)));
}

const GAP = 2; // pixels between pictures that stand side by side

/** An empty canvas for what an explorer decodes; without attributes, one that is not read aloud. */
function canvasFor({ sheet: { width, height } }, attributes = { "aria-hidden": "true" }) {
  return element("canvas", { width, height, ...attributes });
}

/** A canvas, and where its pictures have names, the names below it. */
function withNames({ pictures }, canvas) {
  const names = pictures.map((name) => element("span", {}, name));
  // They are part of what the canvas is called.
  const row = element("div", { class: "names", "aria-hidden": "true" }, ...names);
  return names.length ? [canvas, row] : [canvas];
}

/** How many tiles stand in a row on a wide page and on a narrow one, in rows of the same length.
 *
 * With one picture a tile ten fit and five; of several each keeps a size that can be seen. */
function tileColumns({ count: pictures }, tiles) {
  const balanced = (most) => Math.ceil(tiles / Math.ceil(tiles / most));
  const [wide, narrow] = pictures > 1 ? [18, 12].map((n) => Math.floor(n / pictures)) : [10, 5];
  return `--wide: ${balanced(wide)}; --narrow: ${balanced(narrow)}`;
}

/** Calls draw(i, at) for every pixel of every picture.
 *
 * i is its place in what was decoded, `at` that of its red in the data of the sheet: here alone
 * pictures are put side by side. */
function eachPixel({ shape: [, height, width], count, sheet }, draw) {
  let i = 0;
  for (let picture = 0; picture < count; picture += 1) {
    for (let y = 0; y < height; y += 1) {
      const row = y * sheet.width + picture * (width + GAP);
      for (let x = 0; x < width; x += 1, i += 1) draw(i, 4 * (row + x));
    }
  }
}

/** The colours of one picture: three, or one, which is grey. */
function colourChannels({ shape: [channels], pictures }) {
  return pictures.length ? 1 : channels;
}

/** Draws pixels (C, H, W) in [0, 1]: one channel is grey, three RGB, named ones are pictures. */
function paint(canvas, pixels, explorer) {
  const { sheet, shape: [, height, width] } = explorer;
  const area = height * width;
  const [green, blue] = colourChannels(explorer) === 3 ? [area, 2 * area] : [0, 0];
  eachPixel(explorer, (i, at) => {
    sheet.data[at] = 255 * pixels[i]; // the array clamps and rounds
    sheet.data[at + 1] = 255 * pixels[i + green];
    sheet.data[at + 2] = 255 * pixels[i + blue];
    sheet.data[at + 3] = 255;
  });
  canvas.getContext("2d").putImageData(sheet, 0, 0);
}

/** Draws the signed difference to home, averaged over colours; returns which has full colour. */
function paintDifference(canvas, pixels, explorer) {
  const { sheet, shape: [, height, width] } = explorer;
  const { home } = explorer;
  if (explorer.reference?.of !== home) explorer.reference = { of: home, pixels: explorer.decode(home) };
  const reference = explorer.reference.pixels;
  const area = height * width;
  const colours = colourChannels(explorer);
  const difference = (i) => {
    let sum = 0;
    for (let k = 0, at = i; k < colours; k += 1, at += area) sum += pixels[at] - reference[at];
    return sum / colours;
  };
  let largest = 0;
  eachPixel(explorer, (i) => { largest = Math.max(largest, Math.abs(difference(i))); });
  const full = [0.05, 0.1, 0.2, 0.5].find((step) => step >= largest) ?? 1;
  const none = explorer.dark ? [20, 24, 28] : [255, 255, 255];
  eachPixel(explorer, (i, at) => {
    const share = difference(i) / full;
    const end = share < 0 ? [58, 134, 200] : [216, 119, 42]; // the course's blue and orange
    for (let k = 0; k < 3; k += 1) {
      sheet.data[at + k] = none[k] + Math.abs(share) * (end[k] - none[k]);
    }
    sheet.data[at + 3] = 255;
  });
  canvas.getContext("2d").putImageData(sheet, 0, 0);
  return full;
}

/** Pictures as they leave the page, with their outlines and above their names; then enlarged, where they are small. */
function asSeen({ pictures, shape: [, , width], measurement }, canvas) {
  const outlined = measurement?.outlined;
  if (!pictures.length && !outlined) return canvas;
  const scale = Math.ceil((outlined ? 512 : 128) / width);
  const size = { width: scale * canvas.width, height: scale * canvas.height + (pictures.length ? 24 : 0) };
  const drawn = element("canvas", size);
  const context = drawn.getContext("2d");
  context.fillStyle = "#fff";
  context.fillRect(0, 0, size.width, size.height);
  context.imageSmoothingEnabled = false;
  context.drawImage(canvas, 0, 0, size.width, scale * canvas.height);
  if (outlined) context.drawImage(measurement.canvas, 0, 0, size.width, scale * canvas.height);
  Object.assign(context, { fillStyle: "#1f2328", font: "14px system-ui, sans-serif", textAlign: "center" });
  pictures.forEach((name, k) => {
    const middle = scale * (k * (width + GAP) + width / 2);
    context.fillText(name, middle, size.height - 7, scale * width);
  });
  return drawn;
}

/** Puts the picture on the clipboard, or where that is refused into a file; returns what happened. */
async function copyPicture(explorer, canvas) {
  const drawn = asSeen(explorer, canvas);
  const blob = new Promise((resolve) => { drawn.toBlob(resolve, "image/png"); });
  const size = `${drawn.width} × ${drawn.height} pixels${explorer.inOrder}`;
  try {
    await navigator.clipboard.write([new ClipboardItem({ "image/png": blob })]);
    return `Copied to the clipboard: ${size}.`;
  } catch {
    const href = URL.createObjectURL(await blob);
    element("a", { href, download: "decoded.png" }).click();
    setTimeout(() => URL.revokeObjectURL(href), 10000); // the download has begun by then
    return `The browser refused the clipboard; saved as decoded.png: ${size}.`;
  }
}

/** Peak signal-to-noise ratio in dB of two images in [0, 1]. */
function psnr(image, other) {
  const sum = image.reduce((total, value, i) => total + (value - other[i]) ** 2, 0);
  return -10 * Math.log10(sum / image.length);
}

/** Draws from [0, 1), by Marsaglia's xorshift, 2003; every explorer begins with the same. */
function uniformDraws(seed) {
  let state = seed; // never 0
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}

/** Draws from N(0, 1), by the transform of Box and Muller. */
function normalDraws(uniform = uniformDraws(0x6c61b3f5)) {
  return () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform());
}

/** What the reader sets is set in hundredths. */
function hundredths(value) {
  return Math.round(100 * value) / 100;
}

function signed(value, digits = 2) {
  const text = Math.abs(value).toFixed(digits);
  if (Number(text) === 0) return text;
  return (value < 0 ? "−" : "+") + text;
}

function ramp(colours) {
  return `linear-gradient(to right, ${colours.join(", ")})`;
}

/** A labelled select of [value, text] pairs; `change(value)` gets the chosen value as text. */
function choice(label, options, selected, change) {
  const select = element("select", { change: () => change(select.value) },
    ...options.map(([value, text]) => new Option(text, value, false, value === selected)));
  return element("label", { class: "choice" }, element("span", {}, label), select);
}

/** An SVG of one path, which fills its box. */
function pathDrawing(viewBox, d, attributes = {}) {
  const [svg, path] = ["svg", "path"].map((tag) =>
    document.createElementNS("http://www.w3.org/2000/svg", tag));
  setAttributes(svg, { viewBox, "aria-hidden": "true", ...attributes });
  path.setAttribute("d", d);
  svg.append(path);
  return svg;
}

/** Called by whatever hosts the widget; returns what undoes it. */
function render({ model, el }) {
  const explorer = new Explorer(model, el);
  explorer.start().catch((error) => explorer.fail(error));
  return () => explorer.dispose();
}

export default { render };
