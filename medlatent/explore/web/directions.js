/* Directions: a code z shifted along one direction a of the latent space, to z + α a; eight other codes shifted with
   it; and what the direction was measured to do. */

const CODES = 8; // beside the present one
const SWEEP = 8; // seconds from α = 0 to both ends and back

const directionsView = {
  label: "Directions",

  build(explorer) {
    const { code } = explorer;
    const sets = directionSets(explorer.model, code.length);
    const full = fullEffects(sets);
    let set = sets[0];
    let factor = -1; // by which a set is sorted that has effects; below 0 the order is that of the columns
    let order = [];
    let rank = 0; // of the chosen direction in that order

    const sortedBy = () => (set.effects ? factor : -1);
    const chosen = () => order[rank];
    const named = () => set.names[chosen()] + (sets.length > 1 ? ` of ${set.name}` : "");
    const moving = shiftedCode(explorer, () => set.direction(chosen()));

    /** Another direction, by as much; a play goes on. */
    function choose(to, words) {
      moving.follow();
      rank = (to + order.length) % order.length;
      moving.shift();
      explorer.publish();
      explorer.say(words ?? `${named()}, ${rank + 1} of ${order.length}.`);
    }

    const comparing = sets.map((each) => button(each.name, () => {
      set = each;
      sort();
      const by = sortedBy() < 0 ? "" : ` by ${set.factors[factor]}`;
      choose(rank, `Directions: ${set.name}. ${set.names[chosen()]}, ${rank + 1} of ${order.length}${by}.`);
    }));
    const picker = choice("Direction", [], 0, (value) => choose(Number(value)));
    const select = picker.querySelector("select");
    const factors = sets.find((each) => each.effects)?.factors ?? [];
    const sorter = choice("Sort by", [[-1, "columns of A"], ...factors.map((name, f) => [f, name])], -1, (value) => {
      factor = Number(value);
      rank = 0;
      sort();
      choose(0, factor < 0 ? "In the order of the columns of A."
        : `Sorted by ${factors[factor]}, the strongest effect first: ${named()}.`);
    });
    const steps = [[-1, "Previous direction", "‹"], [1, "Next direction", "›"]].map(([by, words, sign]) =>
      button(sign, () => choose(rank + by), { "aria-label": words, title: words }));

    /** The choices of this set in its order. */
    function sort() {
      order = inOrder(set, sortedBy());
      rank = Math.min(rank, order.length - 1);
      select.replaceChildren(...order.map((k, i) => new Option(sortedBy() < 0 ? set.names[k]
        : `${i + 1}. ${set.names[k]}: ${effectSaid(set, k, factor, full)}`, i)));
      sorter.hidden = !set.effects;
      for (const each of steps) each.hidden = order.length === 1;
    }
    sort();

    const chart = effectChart(sets, full);
    const others = shiftedCodes(explorer, (z) => moving.take(z));
    const group = element("div", { class: "sets", role: "group", "aria-label": "Set of directions" }, ...comparing);
    group.hidden = sets.length === 1;
    const box = element("div", { class: "directions" }, group,
      element("div", { class: "choices" },
        element("div", { class: "picked" }, picker, ...steps), sorter),
      element("div", { class: "shift" }, ...moving.controls, element("p", { class: "note" },
        "The picture shows z + α a: the present code z, moved by α times the direction a. "
        + "Arrow keys: 0.1; Page keys: 0.5; double-click or Delete: back to z.")),
      element("div", { class: "seen" }, others.element, chart.element));

    const view = {
      element: box,

      ...moving.words(named),

      update(spent) {
        moving.update(named());
        comparing.forEach((each, i) => each.setAttribute("aria-pressed", sets[i] === set));
        select.value = rank;
        chart.update(set, chosen(), sortedBy(), named());
        others.update({ direction: set.direction(chosen()), name: named(), alpha: moving.alpha }, spent);
      },
    };
    stopUnseen(explorer, view);
    return view;
  },
};

/** The present code z, shifted to z + α a by a slider or a play from end to end; a is `direction()` whenever it moves.
 *
 * Whatever else moves the code moves z: from there it is shifted then. */
function shiftedCode(explorer, direction) {
  const { code } = explorer;
  const reach = explorer.model.get("max_shift");
  const still = matchMedia("(prefers-reduced-motion: reduce)");
  let base = code.slice(); // z
  const shifted = code.slice(); // the code that was set here last
  let alpha = 0;
  let place = 0; // of the play, see wave
  let before = null; // when the last picture of the play was drawn

  function follow() {
    if (code.every((z, i) => z === shifted[i])) return;
    base = code.slice();
    shifted.set(code);
    alpha = 0;
  }

  function shift() {
    code.set(shiftedBy(base, alpha, direction(), shifted));
  }

  function moveTo(to) {
    explorer.animation = null;
    alpha = clamp(hundredths(to), -reach, reach);
    shift();
    explorer.publish();
  }

  /** α goes from end to end at a constant pace. */
  function advance(now) {
    const passed = before === null ? 0 : (2 * (now - before)) / 1000 / SWEEP;
    if (still.matches) { // from station to station, without the way between
      if (passed < 0.25 && before !== null) return;
      if (before !== null) place = 0.25 * (Math.floor(4 * place + 1e-9) + 1);
    } else {
      place += passed;
    }
    before = now;
    place %= 2;
    alpha = reach * wave(place);
    shift();
  }

  function start() {
    follow();
    before = null;
    place = (2 + alpha / reach / 2) % 2; // where it is, on its way up
    explorer.animate(advance);
  }

  const slider = shiftSlider(explorer, reach, () => alpha, moveTo);
  const play = button("Play", () => {
    if (explorer.animation) explorer.animation = null;
    else start();
    explorer.queue();
  });
  return {
    controls: [slider.element, play],
    reach,
    still, // whether motion is unwelcome
    get alpha() { return alpha; },
    follow,
    shift,
    moveTo,
    start,

    /** Takes another z, shifted as this one was or by another α. */
    take(z, by = alpha) {
      base = z;
      alpha = by;
      shift();
      explorer.load(code.slice());
    },

    update(name) {
      follow();
      play.textContent = explorer.animation ? "Pause" : "Play";
      slider.update(name);
    },

    /** What a view says of the code, and of what changes are counted from. */
    words: (named) => ({
      homeName: "picture at α = 0",

      home() {
        follow();
        return base;
      },

      describe() {
        follow();
        return Math.abs(alpha) >= 0.005 ? `shifted by ${signed(alpha)} along ${named()}` : "not shifted";
      },
    }),
  };
}

/** What nobody sees does not play on; `change(visible)` is called when a view comes into sight, or leaves it. */
function stopUnseen(explorer, view, change = () => {}) {
  const seen = new IntersectionObserver(([{ isIntersecting }]) => {
    change(isIntersecting);
    if (isIntersecting || explorer.view !== view) return;
    explorer.animation = null;
    explorer.queue();
  });
  seen.observe(view.element);
  explorer.disposals.push(() => seen.disconnect());
}

/** The sets of directions: of each its words, direction(k), and where they were measured the tables of its effects. */
function directionSets(model, size) {
  const numbers = (bytes) => new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
  let matrices = numbers(model.get("direction_matrices"));
  let tables = numbers(model.get("direction_effects"));
  return model.get("directions").map((words) => {
    const { names, factors, interval } = words;
    const matrix = matrices.subarray(0, names.length * size);
    matrices = matrices.subarray(matrix.length);
    const directions = names.map((_, k) => matrix.subarray(k * size, (k + 1) * size));
    const set = { ...words, direction: (k) => directions[k] };
    for (const name of factors.length ? ["effects", ...(interval ? ["low", "high"] : [])] : []) {
      const table = tables.subarray(0, names.length * factors.length);
      tables = tables.subarray(table.length);
      set[name] = (k, f) => table[k * factors.length + f];
    }
    return set;
  });
}

/** The directions of a set, by the size of their effect on a factor, or as they are. */
function inOrder({ names, effects }, factor) {
  const order = [...names.keys()];
  if (factor < 0) return order;
  return order.sort((i, j) => Math.abs(effects(j, factor)) - Math.abs(effects(i, factor)));
}

/** z + α a. */
function shiftedBy(z, alpha, direction, to) {
  for (let i = 0; i < z.length; i += 1) to[i] = z[i] + alpha * direction[i];
  return to;
}

/** 0, 1, 0, −1, 0 at a constant pace, while the place goes from 0 to 2. */
function wave(place) {
  return place < 0.5 ? 2 * place : place < 1.5 ? 2 - 2 * place : 2 * place - 4;
}

/** A slider of α, with its middle marked. */
function shiftSlider(explorer, reach, value, move) {
  const id = `${explorer.id}-shift`;
  let pressed;
  const input = element("input", {
    id, type: "range", step: "any", min: -reach, max: reach, value: 0, "data-shift": "",
    input: () => move(Number(input.value)),
    pointerdown: () => { pressed = value(); },
    pointercancel: () => move(pressed), // a finger that scrolls the page had moved the thumb
    dblclick: () => move(0),
    keydown: (event) => {
      const step = KEY_STEPS[event.key];
      const erase = event.key === "Delete" || event.key === "Backspace";
      if (event.ctrlKey || event.altKey || event.metaKey || !(step || erase)) return;
      event.preventDefault();
      move(erase ? 0 : value() + step);
    },
  });
  const number = element("span", { class: "number", "aria-hidden": "true" });
  const ends = [-reach, 0, reach].map((end) => element("span", {}, PLAIN.brief(end)));
  return {
    element: element("div", { class: "sliders" }, element("div", { class: "slider" },
      element("label", { for: id }, element("span", { class: "name" }, "Shift α")),
      element("div", { class: "track" }, element("span", { class: "middle" }), input,
        element("div", { class: "ends", "aria-hidden": "true" }, ...ends)),
      number)),
    update(name) {
      input.value = value();
      number.textContent = signed(value());
      input.setAttribute("aria-valuetext", `${signed(value())} along ${name}`);
    },
  };
}

/** Codes drawn from the prior, all shifted alike; `take(z)` is called with the one that is clicked. Where they are
 * `renewed`, a button draws others.
 *
 * They are decoded after the picture of the frame, as many as fit into it and one at least. All of them are drawn at
 * once, so that what is seen has one α. */
function shiftedCodes(explorer, take, renewed = true) {
  const draw = priorDraws(explorer);
  const scratch = new Float64Array(explorer.code.length);
  const canvases = Array.from({ length: CODES }, () => canvasFor(explorer));
  const caption = element("p", { class: "words" });
  const tiles = canvases.map((canvas, i) => button(canvas, () => take(codes[i]), {
    class: "tile", "data-code": i, "aria-label": `Take code ${i + 1} of ${CODES}`, title: "Take this code",
  }));
  const renew = () => {
    codes = draw();
    explorer.queue();
  };
  const fresh = button("New codes", () => {
    renew();
    explorer.say(`${CODES} other codes.`);
  });
  fresh.hidden = !renewed;
  const box = element("div", { class: "others empty stale" },
    element("div", { class: "drawn" }, caption, fresh),
    element("div", { class: "tiles", style: tileColumns(explorer, CODES) }, ...tiles));
  let codes = draw();
  let wanted = null; // the shift that is asked for
  let drawn = null; // the one that is seen
  let sweep = null; // the one that is being decoded, and its pictures so far
  let request = null;
  let cost = 0; // of one code, in ms

  const alike = (a, b) => a && b && a.codes === b.codes && a.direction === b.direction;
  const same = (a, b) => alike(a, b) && a.alpha === b.alpha;

  /** Decodes while the frame, of which `spent` ms are gone, has room. */
  function decode(spent) {
    if (!alike(sweep, wanted)) sweep = null;
    if (!sweep && !same(drawn, wanted)) sweep = { ...wanted, pixels: [] };
    const began = performance.now();
    const passed = () => performance.now() - began;
    for (let first = true; sweep && (first || spent + passed() + cost <= BUDGET); first = false) {
      const from = passed();
      const z = sweep.codes[sweep.pixels.length];
      sweep.pixels.push(explorer.decode(shiftedBy(z, sweep.alpha, sweep.direction, scratch)));
      cost = passed() - from;
      if (sweep.pixels.length === CODES) show();
    }
  }

  function show() {
    sweep.pixels.forEach((pixels, i) => paint(canvases[i], pixels, explorer));
    caption.textContent = `${CODES} codes drawn from the prior, each shifted by ${signed(sweep.alpha)} along `
      + `${sweep.name}${explorer.inEach}`;
    drawn = sweep;
    sweep = null;
    box.classList.remove("empty");
    box.classList.toggle("stale", !same(drawn, wanted));
  }

  /** Goes on in the next frame; where the next picture is asked for anyway, that one calls. */
  function goOn() {
    request = null;
    if (explorer.disposed || explorer.request || !box.isConnected) return;
    try {
      decode(0);
      if (!same(drawn, wanted)) request = requestAnimationFrame(goOn);
    } catch (error) {
      explorer.fail(error);
    }
  }

  explorer.disposals.push(() => cancelAnimationFrame(request));
  return {
    element: box,
    get codes() { return codes; },
    renew,
    update(shift, spent) {
      cancelAnimationFrame(request);
      wanted = { ...shift, codes };
      decode(spent);
      box.classList.toggle("stale", !same(drawn, wanted));
      if (!same(drawn, wanted)) request = requestAnimationFrame(goOn);
    },
  };
}

/** Draws codes: what is noise from N(0, 1) around its centre, a category at random, and the rest between its limits.
 *
 * Every explorer draws the same ones, and so its other draws, which are numbers of their own, stay the same, too. */
function priorDraws({ code, noise, centre, limits, model }) {
  const uniform = uniformDraws(0x2545f491);
  const normal = normalDraws(uniform);
  const category = model.get("category");
  const drawOne = () => {
    const chosen = Math.floor(category.length * uniform());
    return Float64Array.from(code, (_, i) => {
      if (noise.includes(i)) return centre[i] + normal();
      if (category.includes(i)) return Number(i === category[chosen]);
      const [lo, hi] = limits[i];
      return lo + uniform() * (hi - lo);
    });
  };
  return () => Array.from({ length: CODES }, drawOne);
}

/** For each unit the largest effect of all sets, ends of intervals included: what a bar of full length stands for. */
function fullEffects(sets) {
  const full = new Map();
  for (const { names, factors, units, effects, low = effects, high = effects } of sets.filter((each) => each.effects)) {
    units.forEach((unit, f) => names.forEach((_, k) => {
      const largest = Math.max(...[effects, low, high].map((table) => Math.abs(table(k, f))));
      full.set(unit, Math.max(full.get(unit) ?? 0, largest));
    }));
  }
  return full;
}

/** How many digits an effect has: three for the largest in its unit. */
function effectDigits(full) {
  return full ? clamp(2 - Math.floor(Math.log10(full)), 0, 6) : 0;
}

function effectSaid({ effects, units }, k, f, full) {
  const digits = effectDigits(full.get(units[f]));
  return withUnit(signed(effects(k, f), digits), units[f]);
}

/** A table of the effects of a direction, with a bar for each factor. */
function effectChart(sets, full) {
  const measured = sets.find((each) => each.effects);
  const caption = element("caption", { class: "words" });
  const empty = element("p", { class: "words" }, "What these directions do was not measured.");
  const { factors, units } = measured ?? { factors: [], units: [] };
  const rows = factors.map((factor) => {
    const [bar, whisker, value, interval] = ["fill", "whisker", "value", "interval"]
      .map((name) => element("span", { class: name }));
    const track = element("div", { class: "effect" }, element("span", { class: "middle" }), bar, whisker);
    const row = element("tr", {}, element("th", { scope: "row" }, factor),
      element("td", { class: "bars", "aria-hidden": "true" }, track),
      element("td", { class: "number" }, value, " ", interval));
    return { row, bar, whisker, value, interval };
  });
  const table = element("table", {}, caption, element("tbody", {}, ...rows.map(({ row }) => row)));
  const several = sets.length > 1 ? " of any set" : "";
  const note = element("p", { class: "note" });
  const box = element("div", { class: "effects" }, table, empty, note);
  box.hidden = !measured;
  let shown = [];

  return {
    element: box,
    update(...what) {
      if (what.every((each, i) => each === shown[i])) return;
      shown = what;
      const [set, k, sortedBy, name] = what;
      table.hidden = !set.effects;
      note.hidden = !set.effects;
      empty.hidden = Boolean(set.effects);
      if (!set.effects) return;
      const { effects, low, high, interval } = set;
      caption.textContent = `Measured effect of one unit of shift along ${name}`;
      rows.forEach((row, f) => {
        const largest = full.get(units[f]) || 1;
        const digits = effectDigits(full.get(units[f]));
        const at = (value) => `${50 + (50 * value) / largest}%`;
        const size = (from, to) => `${(50 * (to - from)) / largest}%`;
        const effect = effects(k, f);
        row.bar.style.left = at(Math.min(effect, 0));
        row.bar.style.width = size(0, Math.abs(effect));
        row.value.textContent = withUnit(signed(effect, digits), units[f]);
        row.row.classList.toggle("sorting", f === sortedBy);
        row.whisker.hidden = !low;
        row.interval.textContent = "";
        row.row.classList.toggle("unclear", Boolean(low) && low(k, f) <= 0 && high(k, f) >= 0);
        if (!low) return;
        row.whisker.style.left = at(low(k, f));
        row.whisker.style.width = size(low(k, f), high(k, f));
        row.interval.textContent = `${signed(low(k, f), digits)} to ${signed(high(k, f), digits)}`;
      });
      note.textContent = `Full length: the largest effect in the same unit of any direction${several}.`
        + (interval ? ` Line: ${interval}; a pale bar's includes 0.` : "");
    },
  };
}
