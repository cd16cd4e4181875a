/* Walk: from the start, one dimension after another goes to a value; played or scrubbed. */

const walkView = {
  label: "Walk",

  build(explorer) {
    const { names, code, scales } = explorer;
    const walk = explorer.model.get("walk");
    if (!walk.length) throw new Error("its walk has no step");
    const seconds = 1.5; // of one step, at speed 1
    const still = matchMedia("(prefers-reduced-motion: reduce)");
    let place = 0; // the whole part: steps completed
    let speed = 1;
    let before = null; // when the last picture of the animation was drawn
    let step = null;

    /** The value that dimension has when the walk reaches `step`. */
    const from = (step) => walk.slice(0, step).findLast(([i]) => i === walk[step][0])?.[1]
      ?? explorer.origin[walk[step][0]];

    /** The step in which a place is; its end is still its own. */
    const stepAt = (place) => Math.max(Math.ceil(place) - 1, 0);

    function walkTo(place, code) {
      code.set(explorer.origin);
      const last = stepAt(place);
      for (let i = 0; i < last; i += 1) code[walk[i][0]] = walk[i][1];
      const [dimension, value] = walk[last];
      code[dimension] = from(last) + (place - last) * (value - from(last));
      return code;
    }

    function show() {
      const last = stepAt(place);
      const [dimension] = walk[last];
      scrub.value = place;
      scrub.setAttribute("aria-valuetext", `${names[dimension]} at ${scales[dimension].show(code[dimension], 1)}`);
      if (last === step) return;
      step = last;
      steps.forEach((tile, i) => tile.setAttribute("aria-current", i === step ? "step" : "false"));
    }

    function go(to) {
      place = to;
      explorer.animation = null;
      walkTo(place, code);
      explorer.publish();
    }

    function advance(now) {
      const passed = before === null ? 0 : ((now - before) * speed) / 1000 / seconds;
      if (still.matches) { // from station to station, without the way between
        if (passed < 1 && before !== null) return;
        if (before !== null) place = Math.floor(place) + 1;
      } else {
        place += passed;
      }
      before = now;
      place %= walk.length;
      walkTo(place, code);
    }

    const play = button("Play", () => {
      if (explorer.animation) {
        explorer.animation = null;
      } else {
        before = null;
        explorer.animate(advance);
      }
      explorer.queue();
    });
    const scrub = element("input", {
      class: "scrub", type: "range", min: 0, max: walk.length, step: "any", value: 0,
      "aria-label": "Place in the walk",
      input: () => go(Number(scrub.value)),
      keydown: (event) => {
        const by = KEY_STEPS[event.key];
        if (!by || event.ctrlKey || event.altKey || event.metaKey) return;
        event.preventDefault();
        go(clamp(place + by, 0, walk.length));
      },
    });
    const pace = choice("Speed", [[0.5, "½ ×"], [1, "1 ×"], [2, "2 ×"]], 1, (value) => {
      speed = Number(value);
    });
    // A step is the picture at its end.
    const canvases = walk.map(() => canvasFor(explorer));
    const steps = walk.map(([dimension, value], i) => {
      const words = `${names[dimension]} to ${scales[dimension].show(value, 1)}`;
      const tile = button(canvases[i], () => go(i + 1), {
        class: "tile", "aria-label": `Step ${i + 1}: ${words}`,
      });
      tile.append(element("span", { class: "number" }, words));
      return tile;
    });
    const scratch = new Float64Array(code.length);
    explorer.disposals.push(decodeWhenIdle(explorer, canvases, (i) => walkTo(i + 1, scratch)));

    // What nobody sees does not play on.
    const seen = new IntersectionObserver(([entry]) => {
      if (entry.isIntersecting || explorer.view !== view) return;
      explorer.animation = null;
      explorer.queue();
    });
    const box = element("div", { class: "walk" },
      element("div", { class: "buttons" }, play, pace), scrub,
      element("div", { class: "steps", style: tileColumns(explorer, walk.length) }, ...steps),
      element("p", { class: "note" },
        `Each step moves one dimension; those before it stay where they went${explorer.inEach}.`));
    seen.observe(box);
    explorer.disposals.push(() => seen.disconnect());

    const view = {
      element: box,
      update() {
        play.textContent = explorer.animation ? "Pause" : "Play";
        show();
      },
    };
    return view;
  },
};
