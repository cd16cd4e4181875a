/* Hybrids: the style of one image with the content of another, or of a condition; what lies between the two images; and
   three contents in three styles. All are decoded from the means of posteriors. */

const HYBRID = { style: 1, content: 0 }; // of the way from the image of the content to that of the style
const CORNERS = [0, 1].flatMap((content) => [0, 1].map((style) => ({ style, content }))); // row by row
const TABLED = 3; // contents, and styles, in the table

const hybridView = {
  label: "Hybrid",

  build(explorer) {
    const { code, images } = explorer;
    const { columns, conditions, starts, ...parts } = explorer.model.get("hybrid");
    const codes = hybridCodes(explorer, parts, columns);
    const nameOf = (i) => images[i].name;
    const conditionOf = (i) => conditions[i] ?? null;
    let pair; // the images: {content, style}
    let conditioned; // whether the content is that of the condition
    let condition; // the number of a value for each column
    let at; // {style, content}, how far each has gone
    let shown = starts ? explorer.origin.slice() : null; // the code that was set here last
    let home = null; // that of the first corner

    /** The pair that the explorer starts with. */
    function begin() {
      pair = { content: 0, style: 1 };
      conditioned = false;
      condition = conditionOf(0) ?? columns.map(() => 0);
      at = HYBRID;
    }

    begin();
    const away = () => !shown || code.some((z, i) => z !== shown[i]);
    const isOwn = () => Boolean(conditionOf(pair.content)?.every((value, k) => value === condition[k]));
    const hasCondition = (i) => conditioned && i === pair.content;
    const contentOf = (i) => (hasCondition(i) ? codes.given(i, condition) : codes.of(i));
    const contentName = (i) => (!hasCondition(i) ? nameOf(i)
      : isOwn() ? `the condition of ${nameOf(i)}` : "the chosen condition");

    /** The code so far along both ways. */
    function between({ style, content }) {
      const [from, to] = [codes.of(pair.content), codes.of(pair.style)];
      return codes.mixed(from, to, style, contentOf(pair.content), to, content);
    }

    const isCorner = (place) => Object.values(place).every((way) => way === 0 || way === 1);

    function wordsFor(place) {
      const [from, to, given] = [nameOf(pair.content), nameOf(pair.style), contentName(pair.content)];
      if (!isCorner(place)) {
        const [style, content] = [place.style, place.content].map((way) => `${way.toFixed(2)} of the way`);
        return `style ${style} from ${from} to ${to}, content ${content} from ${given} to ${to}`;
      }
      const [style, content] = [place.style, place.content].map((way) => (way ? pair.style : pair.content));
      if (style === content && (place.content || !conditioned)) return `reconstruction of ${nameOf(style)}`;
      return `content of ${place.content ? to : given}, style of ${nameOf(style)}`;
    }

    /** Takes notice of what else moves the code: a reset leads back to the beginning. */
    function follow() {
      if (!starts || !away() || code.some((z, i) => z !== explorer.origin[i])) return;
      begin();
      shown = code.slice();
      changed();
      explorer.picture.compare();
    }

    /** Shows what was chosen. */
    function put() {
      explorer.load(between(at));
      shown = code.slice();
    }

    function moveTo(place) {
      at = place;
      put();
    }

    /** Other images, or another condition: their hybrid is shown. */
    function choose(to) {
      pair = { ...pair, ...to };
      at = HYBRID;
      changed();
      put();
      tell();
    }

    /** What stands below the picture, for those who do not see it; what was said before is over. */
    function tell() {
      explorer.say("");
      spoken.textContent = `${sentence(wordsFor(at))}.`;
    }

    /** With an image for the content comes its condition; where that is unknown, the content is the image's own. */
    function chooseContent(i, more = {}) {
      condition = conditionOf(i) ?? condition;
      conditioned &&= conditions.length > 0;
      choose({ content: i, ...more });
    }

    const rows = {
      content: imageRow(explorer, "content", (i) => chooseContent(i)),
      style: imageRow(explorer, "style", (i) => choose({ style: i })),
    };
    const form = conditionForm(columns, {
      turn(on) {
        conditioned = on;
        choose();
      },
      set(column, value) {
        condition = condition.map((before, k) => (k === column ? value : before));
        choose();
      },
      own() {
        condition = conditionOf(pair.content);
        choose();
      },
    });
    const exchange = button("Exchange content and style", () =>
      chooseContent(pair.style, { style: pair.content }));
    const spoken = element("p", { class: "unseen", "aria-live": "polite" });
    const lost = element("p", { class: "words" },
      "The picture shows another code now. A choice or a slider of this view leads back to its images.");

    const moving = movingAlong(explorer, {
      at: () => at,
      ready() {
        if (away() || explorer.image) put();
      },
      set(place) {
        at = place;
        code.set(between(at));
        shown.set(code);
      },
    });
    const sliders = Object.keys(HYBRID).map((axis) => waySlider(explorer, axis, () => at[axis],
      (way) => moveTo({ ...at, [axis]: way }), moving.button([axis], axis)));
    const ways = element("div", { class: "ways" },
      element("div", { class: "sliders" }, ...sliders.map((slider) => slider.element)),
      element("div", { class: "buttons" }, moving.button(Object.keys(HYBRID), "both"), element("p", { class: "note" },
        "Arrow keys: 0.05; Page keys: 0.25; double-click or Delete: back to the hybrid.")));

    const corners = pictureTable(explorer, 2, (k) => {
      moveTo(CORNERS[k]);
      tell();
    });
    const size = Math.min(TABLED, images.length);
    const contents = lastChosen(size, pair.content, pair.style);
    const styles = lastChosen(size, pair.style, pair.content);
    const cell = (k) => [contents.places[Math.floor(k / size)], styles.places[k % size]];
    const table = pictureTable(explorer, size, (k) => {
      const [content, style] = cell(k);
      if (content === pair.content) {
        choose({ style });
        return;
      }
      conditioned = false; // in this row the content is the image's own
      chooseContent(content, { style });
    });
    const tables = element("div", { class: "tables empty" },
      element("div", {}, element("p", { class: "words" },
        `Both sliders at their ends, beside the images; PSNR to the image${explorer.inEach}`), corners.element),
      element("div", {}, element("p", { class: "words" },
        `Hybrids of the ${size} contents and the ${size} styles that were chosen last${explorer.inEach}`),
      table.element));
    const redraw = decodeAtRest(explorer, tables, [...corners.canvases, ...table.canvases], (k) => {
      if (k < CORNERS.length) return between(CORNERS[k]);
      const [content, style] = cell(k - CORNERS.length);
      return codes.mixed(codes.of(style), null, 0, contentOf(content), null, 0);
    }, (k, pixels) => {
      if (k < CORNERS.length) corners.note(k, remark(CORNERS[k], pixels));
    });

    /** What a corner is, and how far a reconstruction is from its image. */
    function remark({ style, content }, pixels) {
      const [ofStyle, ofContent] = [style, content].map((way) => (way ? pair.style : pair.content));
      if (ofStyle !== ofContent) return "hybrid";
      const kind = conditioned && !content ? "from the condition" : "reconstruction";
      return `${kind}, ${psnr(pixels, images[ofStyle].pixels).toFixed(1)} dB`;
    }

    /** What depends on the pair and on the condition. */
    function changed() {
      const [from, to, given] = [nameOf(pair.content), nameOf(pair.style), contentName(pair.content)];
      rows.content.show(pair.content, `Content of ${given}`);
      rows.style.show(pair.style, `Style of ${to}`);
      form.show(conditioned, condition, conditions.length ? from : "", isOwn());
      sliders.forEach((slider, k) => slider.name(k && conditioned ? "condition" : from, to));
      contents.take(pair.content);
      styles.take(pair.style);
      const edge = (i) => ({ name: nameOf(i), pixels: images[i].pixels });
      const contentEdge = (i) => (hasCondition(i) ? { name: contentName(i), pixels: null } : edge(i));
      corners.show([contentEdge(pair.content), edge(pair.style)], [edge(pair.content), edge(pair.style)],
        (content, style) => sentence(wordsFor({ style, content })));
      table.show(contents.places.map(contentEdge), styles.places.map(edge), (row, column) =>
        `Content of ${contentName(contents.places[row])}, style of ${nameOf(styles.places[column])}`);
      if (!codes.open) return;
      home = between(CORNERS[0]);
      redraw();
    }

    const box = element("div", { class: "hybrids" }, spoken, lost,
      element("div", { class: "chosen" },
        element("div", { class: "source" }, rows.content.element, form.element),
        element("div", { class: "source" }, rows.style.element)),
      element("div", { class: "buttons" }, exchange), ways, tables);
    box.inert = true; // until its networks are open
    changed();
    codes.begin().then(() => {
      if (explorer.disposed) return;
      box.inert = false;
      changed();
      explorer.picture.compare();
      explorer.queue();
    }).catch((error) => explorer.say(`The images cannot be mixed: ${error.message}`));

    const view = {
      element: box,
      choosesImages: true,

      get homeName() {
        const from = nameOf(pair.content);
        return !home ? "start" : conditioned ? `picture in the style of ${from}` : `reconstruction of ${from}`;
      },

      home() {
        follow();
        return home ?? explorer.origin;
      },

      describe() {
        follow();
        return away() ? "" : wordsFor(at);
      },

      caption() {
        if (away()) return "";
        return isCorner(at) ? sentence(wordsFor(at))
          : `Style ${at.style.toFixed(2)}, content ${at.content.toFixed(2)} of the way`;
      },

      update() {
        follow();
        const gone = away();
        lost.hidden = !gone;
        for (const slider of sliders) slider.update();
        moving.update();
        const same = (place) => place.style === at.style && place.content === at.content;
        corners.press(gone ? -1 : CORNERS.findIndex(same));
        table.press(gone || !same(HYBRID) ? -1
          : size * contents.places.indexOf(pair.content) + styles.places.indexOf(pair.style));
      },
    };
    stopUnseen(explorer, view);
    return view;
  },
};

/** The codes of the images, of conditions, and of what is mixed of them. */
function hybridCodes(explorer, parts, columns) {
  const { images, code } = explorer;
  const found = []; // of the images, once they were asked for
  let network = null; // E_φ, from a condition t to the mean of q(c|t)
  let last = { condition: null, content: null };

  /** The one-hot vectors of the columns, one after the other. */
  const oneHot = (condition) => Float32Array.from(columns.flatMap(({ values }, k) =>
    values.map((_, value) => Number(value === condition[k]))));

  const all = {
    open: false,

    async begin() {
      explorer.encoder ??= await explorer.open("encoder");
      if (columns.length) network = await explorer.open("condition");
      all.open = true;
    },

    of: (i) => (found[i] ??= explorer.encoder.run([images[i].pixels])[0]),

    /** The style of an image with the mean of q(c|t). */
    given(i, condition) {
      if (condition !== last.condition) last = { condition, content: network.run([oneHot(condition)])[0] };
      const result = Float64Array.from(all.of(i));
      result.set(last.content, parts.content[0]);
      return result;
    },

    /** A style so far on the way from one code's to another's, and a content likewise. */
    mixed(styleFrom, styleTo, style, contentFrom, contentTo, content) {
      const result = new Float64Array(code.length);
      const mix = ([start, stop], from, to, way) => {
        // Both ends are met exactly.
        for (let i = start; i < stop; i += 1) result[i] = way ? (1 - way) * from[i] + way * to[i] : from[i];
      };
      mix(parts.style, styleFrom, styleTo, style);
      mix(parts.content, contentFrom, contentTo, content);
      return result;
    },
  };
  return all;
}

/** Images to choose one from, for its style or its content. */
function imageRow(explorer, role, choose) {
  const caption = element("p", { class: "words", id: `${explorer.id}-${role}` });
  const radios = explorer.images.map(({ name }, i) => element("input", {
    type: "radio", name: `${explorer.id}-${role}-of`, [`data-${role}`]: i, "aria-label": name, change: () => choose(i),
  }));
  const tiles = explorer.images.map(({ name, pixels }, i) => {
    const canvas = canvasFor(explorer);
    paint(canvas, pixels, explorer);
    return element("label", { class: "tile", title: name }, radios[i], canvas);
  });
  return {
    element: element("div", { class: "multiples" }, caption, element("div", {
      class: "tiles images", role: "radiogroup", "aria-label": sentence(`${role} of`),
      style: tileColumns(explorer, tiles.length),
    }, ...tiles)),
    show(chosen, words) {
      caption.textContent = words;
      radios.forEach((radio, i) => { radio.checked = i === chosen; });
    },
  };
}

/** A switch that takes the content from the condition, and a control for each of its columns.
 *
 * `turn(on)` is called with the switch, `set(column, value)` with a value, and `own()` to have that of the image. */
function conditionForm(columns, { turn, set, own }) {
  const toggle = element("input", { type: "checkbox", role: "switch", change: () => turn(toggle.checked) });
  const controls = columns.map(({ name, meaning, values }, k) => {
    const label = name.replaceAll("_", " ");
    if (values.length > 2) {
      const select = choice(label, values.map((value, v) => [v, value]), 0, (value) => set(k, Number(value)));
      select.title = meaning;
      return { element: select, update(value) { select.querySelector("select").value = value; } };
    }
    const box = element("input", { type: "checkbox", role: "switch", change: () => set(k, Number(box.checked)) });
    const words = element("span", {});
    return {
      element: element("label", { class: "check", title: meaning }, box, words),
      update(value) {
        box.checked = value === 1;
        words.textContent = `${label}: ${values[value]}`;
      },
    };
  });
  const back = button("", own);
  const group = element("div", { class: "condition", role: "group", "aria-label": "Condition" },
    ...controls.map((control) => control.element), back);
  const box = element("div", { class: "conditioned" },
    element("label", { class: "check" }, toggle, "Content from the condition instead"), group);
  box.hidden = !columns.length;
  return {
    element: box,
    show(on, condition, image, isOwn) {
      toggle.checked = on;
      group.hidden = !on;
      controls.forEach((control, k) => control.update(condition[k]));
      back.hidden = !image;
      back.disabled = Boolean(isOwn);
      back.textContent = `As of ${image}`;
    },
  };
}

/** Plays along ways from 0 to 1 and back, each from where it is; `set(at)` is called with each step.
 *
 * `ready()` is called before it begins. button(axes, name) is one that plays these, and stops them. */
function movingAlong(explorer, { at, ready, set }) {
  const still = matchMedia("(prefers-reduced-motion: reduce)");
  const buttons = [];
  let playing = null; // what a button plays
  let named; // what the buttons say is playing
  let places = {}; // of 0 to 2: to 1 and back
  let before = null; // when the last picture of the play was drawn

  function advance(now) {
    const passed = before === null ? 0 : (2 * (now - before)) / 1000 / SWEEP;
    if (still.matches && before !== null && passed < 0.25) return;
    const to = { ...at() };
    for (const axis of playing.axes) {
      let place = places[axis];
      if (!still.matches) place += passed;
      else if (before !== null) place = 0.25 * (Math.floor(4 * place + 1e-9) + 1); // without the way between
      places[axis] = place % 2;
      to[axis] = places[axis] > 1 ? 2 - places[axis] : places[axis];
    }
    before = now;
    set(to);
  }

  return {
    button(moved, name) {
      const play = {
        axes: moved,
        name,
        element: button("", () => {
          const stop = explorer.animation && playing === play;
          explorer.animation = null;
          if (!stop) {
            ready();
            playing = play;
            places = { ...at() };
            before = null;
            explorer.animate(advance);
          }
          explorer.queue();
        }),
      };
      buttons.push(play);
      return play.element;
    },

    update() {
      if (!explorer.animation) playing = null;
      if (playing === named) return;
      named = playing;
      for (const play of buttons) {
        const verb = play === playing ? "Pause" : "Play";
        const several = play.axes.length > 1;
        play.element.textContent = several ? `${verb} ${play.name}` : verb;
        play.element.setAttribute("aria-label", `${verb} ${play.name}`);
      }
    },
  };
}

/** A slider of how far the style, or the content, has gone from one image to the other, and a button beside it. */
function waySlider(explorer, axis, value, move, play) {
  const id = `${explorer.id}-way-${axis}`;
  const set = (way) => move(hundredths(clamp(way, 0, 1)));
  let pressed;
  const input = element("input", {
    id, type: "range", step: "any", min: 0, max: 1, value: HYBRID[axis], "data-way": axis,
    input: () => set(Number(input.value)),
    pointerdown: () => { pressed = value(); },
    pointercancel: () => move(pressed), // a finger that scrolls the page had moved the thumb
    dblclick: () => move(HYBRID[axis]),
    keydown: (event) => {
      const step = KEY_STEPS[event.key];
      const erase = event.key === "Delete" || event.key === "Backspace";
      if (event.ctrlKey || event.altKey || event.metaKey || !(step || erase)) return;
      event.preventDefault();
      if (erase) move(HYBRID[axis]);
      else set(value() + step / 2);
    },
  });
  const number = element("span", { class: "number", "aria-hidden": "true" });
  const [left, right] = [1, 2].map(() => element("span", {}));
  return {
    element: element("div", { class: "slider" },
      element("label", { for: id }, element("span", { class: "name" }, sentence(axis))),
      element("div", { class: "track" }, input, element("div", { class: "ends", "aria-hidden": "true" }, left, right)),
      number, play),
    name(from, to) {
      [left.textContent, right.textContent] = [from, to];
    },
    update() {
      const way = value().toFixed(2);
      input.value = value();
      number.textContent = way;
      input.setAttribute("aria-valuetext", `${way} of the way from ${left.textContent} to ${right.textContent}`);
    },
  };
}

/** Pictures in rows of one content and columns of one style, with the images that these are of at the edges; `take(k)`
 * is called with the picture that is clicked.
 *
 * Tab leads to one of them, from which the arrow keys lead to the others. */
function pictureTable(explorer, size, take) {
  const head = () => {
    const canvas = canvasFor(explorer);
    const name = element("span", { class: "number" });
    return { canvas, name, element: element("div", { class: "head" }, canvas, name) };
  };
  const [rows, columns] = [1, 2].map(() => Array.from({ length: size }, head));
  const canvases = Array.from({ length: size * size }, () => canvasFor(explorer));
  const notes = canvases.map(() => element("span", { class: "number" }));
  const enter = (k) => tiles.forEach((tile, i) => tile.setAttribute("tabindex", i === k ? 0 : -1));
  const tiles = canvases.map((canvas, k) => {
    const tile = button(canvas, () => {
      enter(k);
      take(k);
    }, {
      class: "tile",
      keydown: (event) => {
        const step = DIRECTIONS[event.key];
        if (!step || event.ctrlKey || event.altKey || event.metaKey) return;
        event.preventDefault();
        const [column, row] = [(k % size) + step[0], Math.floor(k / size) - step[1]];
        if (Math.min(column, row) < 0 || Math.max(column, row) >= size) return;
        enter(size * row + column);
        tiles[size * row + column].focus();
      },
    });
    tile.append(notes[k]);
    return tile;
  });
  enter(0);
  const axes = element("div", { class: "axes number", "aria-hidden": "true" },
    element("span", {}, "style →"), element("span", {}, "content ↓"));
  const grid = element("div", { class: "grid", role: "group", style: `--size: ${size}` }, axes,
    ...columns.map((each) => each.element));
  rows.forEach((row, r) => grid.append(row.element, ...tiles.slice(r * size, (r + 1) * size)));
  grid.setAttribute("aria-label", `${size} contents in ${size} styles`);
  return {
    element: grid,
    canvases,
    note(k, words) { notes[k].textContent = words; },

    /** Names and images at the edges: {name, pixels}, without pixels where there is no image; labelOf(row, column). */
    show(ofRows, ofColumns, labelOf) {
      for (const [heads, said] of [[rows, ofRows], [columns, ofColumns]]) {
        heads.forEach(({ canvas, name }, i) => {
          name.textContent = said[i].name;
          canvas.hidden = !said[i].pixels;
          if (said[i].pixels) paint(canvas, said[i].pixels, explorer);
        });
      }
      tiles.forEach((tile, k) => {
        const label = labelOf(Math.floor(k / size), k % size);
        setAttributes(tile, { "aria-label": label, title: label });
      });
    },

    press(pressed) {
      tiles.forEach((tile, k) => tile.setAttribute("aria-pressed", k === pressed));
    },
  };
}

/** So many images, those that were chosen last; each keeps its place. The first ones to begin with. */
function lastChosen(size, ...latest) {
  const places = Array.from({ length: size }, (_, i) => i);
  let ages = [...latest, ...places.filter((i) => !latest.includes(i))].reverse(); // the latest at the end
  return {
    places,
    take(i) {
      if (!places.includes(i)) {
        places[places.indexOf(ages[0])] = i;
        ages = ages.slice(1);
      }
      ages = [...ages.filter((other) => other !== i), i];
    },
  };
}

/** Beginning with a capital letter. */
function sentence(words) {
  return words.charAt(0).toUpperCase() + words.slice(1);
}
