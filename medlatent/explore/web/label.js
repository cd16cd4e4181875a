/* Label: the reader names directions without knowing what they were measured to do, by the protocol of Schön et al.
   (2022): eight animations, a name, and the same eight codes in stills. Then labels and measurement are compared. */

const SEVERAL = -1; // labels that are no factor; labelling.py has the same
const NOTHING = -2;
const STAGES = ["Watch", "Check on stills"];

const labelView = {
  label: "Label",

  build(explorer) {
    const { asked, effect: least, share: half } = explorer.model.get("label");
    const sets = directionSets(explorer.model, explorer.code.length);
    const [set] = sets; // the one that was measured
    const { factors } = set;
    const nameOf = (label) => ({ [SEVERAL]: "several at once", [NOTHING]: "nothing that I can name" })[label]
      ?? factors[label];
    const uniform = uniformDraws(0x1b873593);
    let order = asked; // of this round
    let at = 0; // the direction that is seen, in that order
    let stage = 0; // of STAGES; behind them the result
    let first = []; // the reader's labels after the animations,
    let final = []; // and after the stills
    let picked = null; // the label that is chosen in the form
    let fresh = true; // the animation of this direction has not been started yet
    let visible = false;

    const count = asked.length;
    const done = () => stage === STAGES.length;
    const column = () => order[at].column;
    const ofSet = sets.length > 1 ? ` of ${set.name}` : "";
    const named = () => (done() ? set.names[column()] + ofSet : `direction ${at + 1} of ${count}`);

    const moving = shiftedCode(explorer, () => set.direction(column()));
    const others = shiftedCodes(explorer, (z) => moving.take(z), false);
    const stills = codesInStills(explorer, [-moving.reach, 0, moving.reach], (z, alpha) => moving.take(z, alpha));
    const chart = effectChart(sets, fullEffects(sets));

    const heading = element("p", { class: "heading", role: "heading", "aria-level": 4, tabindex: -1 });
    const stages = STAGES.map((words, i) => element("li", {}, `${i + 1}. ${words}`));
    const progress = element("ol", { class: "stages", "aria-label": "Steps" }, ...stages);
    const lead = element("p", {});
    const keys = element("p", { class: "note" },
      "Arrow keys: 0.1; Page keys: 0.5; double-click or Delete: back to 0. A click on a small picture shows it large.");
    const shift = element("div", { class: "shift" }, ...moving.controls, keys);
    const form = labelForm(explorer, [...factors.keys(), SEVERAL, NOTHING].map((label) => [label, nameOf(label)]),
      (label) => {
        picked = label;
        say();
      });
    const next = button("", proceed, { class: "next" });
    const answer = element("div", { class: "answer" }, form.element, next);
    const result = labelResult(set, nameOf, (i) => {
      moving.follow();
      at = i;
      moving.shift();
      explorer.publish();
      explorer.say(`Direction ${i + 1} is ${set.names[column()]}.`);
    });
    const again = button("Start again", restart, { class: "again" });
    const seen = element("div", { class: "seen" });
    const box = element("div", { class: "labelling" }, heading, progress, lead, result.element, shift, seen,
      stills.element, answer, again);

    /** What depends on the stage and on the label that is chosen. */
    function say() {
      const blind = !done();
      const [watch, check] = STAGES.map((_, i) => stage === i);
      heading.textContent = blind ? `Direction ${at + 1} of ${count}` : "Your labels and the measurement";
      stages.forEach((each, i) => each.setAttribute("aria-current", i === stage ? "step" : "false"));
      lead.textContent = watch ? `All pictures are shifted along the same direction a, from α = ${
        PLAIN.brief(-moving.reach)} to ${PLAIN.brief(moving.reach)} and back. What changes in all of them alike?`
        : check ? `The same ${CODES} codes, held still. Does “${nameOf(first[at])}” fit them, too? Keep it, or pick another.`
          : "";
      form.element.firstChild.textContent = watch ? "What this direction changes" : "Your label";
      form.choose(picked);
      next.disabled = picked === null;
      next.textContent = watch ? "Check it on stills"
        : picked === first[at] ? `Keep “${nameOf(picked)}”` : `Change to “${nameOf(picked)}”`;
      for (const [part, shown] of [[progress, blind], [shift, !check], [seen, !check], [stills.element, check],
        [answer, blind], [result.element, !blind], [again, !blind]]) part.hidden = !shown;
      // What was measured is nowhere in the page before it is compared.
      seen.replaceChildren(others.element, ...(blind ? [] : [chart.element]));
      if (blind) result.clear();
    }

    /** The reader has chosen a label, or confirmed it. */
    function proceed() {
      if (stage === 0) {
        first[at] = picked;
        stage = 1;
        moving.moveTo(0);
        stills.show(others.codes, set.direction(column()));
        explorer.say(`Step 2 of 2: ${CODES} codes in stills. Keep the label, or pick another.`);
      } else {
        final[at] = picked;
        if (at + 1 < count) begin(at + 1);
        else conclude();
      }
      say();
      heading.focus();
      explorer.queue();
    }

    /** Watches a direction. */
    function begin(which) {
      at = which;
      stage = 0;
      picked = null;
      fresh = true;
      moving.moveTo(0);
      explorer.say(`Direction ${at + 1} of ${count}, step 1 of 2: watch, and pick a label.`);
      appear();
    }

    /** Plays once by itself, where the reader sees it and motion is welcome. */
    function appear() {
      if (!visible || !fresh || stage || moving.still.matches) return;
      fresh = false;
      moving.start();
    }

    function conclude() {
      stage = STAGES.length;
      const differs = order.findIndex(({ agree }, i) => !agree.includes(final[i]));
      at = Math.max(differs, 0); // the first one to look at again
      moving.moveTo(0);
      result.show(order, first, final, { least, half });
      explorer.say(`All ${count} directions are labelled. ${result.summary()}.`);
    }

    /** The same directions in another order, on other codes. */
    function restart() {
      const before = order;
      while (order.every((each, i) => each === before[i])) order = shuffled(before, uniform);
      first = [];
      final = [];
      others.renew();
      begin(0);
      say();
      heading.focus();
    }

    say();
    const view = {
      element: box,

      ...moving.words(named),

      update(spent) {
        moving.update(named());
        if (stage === 1) return;
        others.update({ direction: set.direction(column()), name: named(), alpha: moving.alpha }, spent);
        if (!done()) return;
        chart.update(set, column(), -1, named());
        result.choose(at);
      },
    };
    stopUnseen(explorer, view, (is) => {
      visible = is;
      appear();
    });
    return view;
  },
};

/** A label to choose for a direction, as radio buttons of [value, words]; `change(value)` gets the chosen one. */
function labelForm(explorer, labels, change) {
  const radios = labels.map(([value]) => element("input", {
    type: "radio", name: `${explorer.id}-label`, value, change: () => change(value),
  }));
  const options = labels.map(([, words], i) => element("label", {}, radios[i], element("span", {}, words)));
  return {
    element: element("fieldset", {}, element("legend", {}), element("div", { class: "options" }, ...options)),
    choose(value) {
      radios.forEach((radio, i) => { radio.checked = labels[i][0] === value; });
    },
  };
}

/** Codes held still at some α each; `take(z, α)` is called with the one that is clicked.
 *
 * Tab leads to one of the pictures, from which the arrow keys lead to the others. */
function codesInStills(explorer, alphas, take) {
  const ends = alphas.map(PLAIN.brief);
  const shiftOf = (i) => [codes[Math.floor(i / alphas.length)], alphas[i % alphas.length]];
  const scratch = new Float64Array(explorer.code.length);
  let codes = null;
  let direction = null;
  let drawn = 0; // of the pictures
  let request = null;
  const canvases = Array.from({ length: CODES * alphas.length }, () => canvasFor(explorer));
  const tiles = canvases.map((canvas, i) => {
    const end = ends[i % ends.length];
    const said = `code ${Math.floor(i / ends.length) + 1} of ${CODES} at α = ${end}`;
    const tile = button(canvas, () => {
      enter(i);
      take(...shiftOf(i));
    }, {
      class: "tile", "data-still": i, "aria-label": `Show ${said} large`, title: `Show ${said} large`,
      keydown: (event) => {
        const step = DIRECTIONS[event.key];
        if (!step || event.ctrlKey || event.altKey || event.metaKey) return;
        event.preventDefault();
        const to = i + step[0] - step[1] * alphas.length;
        if (!tiles[to]) return;
        enter(to);
        tiles[to].focus();
      },
    });
    tile.append(element("span", { class: "number", "aria-hidden": "true" }, end));
    return tile;
  });
  const enter = (i) => tiles.forEach((tile, k) => tile.setAttribute("tabindex", k === i ? 0 : -1));
  const groups = Array.from({ length: CODES }, (_, k) => element("div", { class: "still" },
    ...tiles.slice(k * alphas.length, (k + 1) * alphas.length)));
  const box = element("div", { class: "stills", role: "group" },
    element("p", { class: "words" },
      `${CODES} codes, each at α = ${ends.slice(0, -1).join(", ")} and ${ends.at(-1)}${explorer.inEach}. `
      + "A click, or Enter, shows a picture large; arrow keys lead from one to the next."),
    element("div", { class: "groups" }, ...groups));
  box.setAttribute("aria-label", `${CODES} codes in stills`);

  /** As many as fit into a frame, and one at least. */
  function draw() {
    const began = performance.now();
    try {
      do {
        const [z, alpha] = shiftOf(drawn);
        paint(canvases[drawn], explorer.decode(shiftedBy(z, alpha, direction, scratch)), explorer);
        drawn += 1;
      } while (drawn < canvases.length && performance.now() - began < BUDGET);
    } catch (error) {
      explorer.fail(error);
      return;
    }
    box.classList.toggle("empty", drawn < canvases.length);
    if (drawn < canvases.length) request = requestAnimationFrame(draw);
  }

  explorer.disposals.push(() => cancelAnimationFrame(request));
  return {
    element: box,
    show(ofCodes, along) {
      cancelAnimationFrame(request);
      [codes, direction, drawn] = [ofCodes, along, 0];
      enter(0);
      box.classList.add("empty");
      request = requestAnimationFrame(draw);
    },
  };
}

/** How far labels and measurement agree: a sentence, and a table of the directions; `choose(i)` gets the one picked. */
function labelResult(set, nameOf, choose) {
  const { factors, names } = set;
  const full = fullEffects([set]);
  const verdict = element("p", { class: "verdict" });
  const said = element("strong", {});
  const heads = ["Direction", "Your label", "Measured: largest share, its effect", "Agree?"];
  const rows = element("tbody", {});
  const rule = element("p", { class: "note" });
  const doubt = element("p", {});
  let picks = [];

  /** A direction, the label on it before and after the stills, and what was measured. */
  function rowOf({ column, factor, share, agree }, before, after, i) {
    const agrees = agree.includes(after);
    const pick = button(`${i + 1}: ${names[column]}`, () => choose(i), { title: "Look at this direction again" });
    picks.push(pick);
    const changed = before === after ? "" : `first: ${nameOf(before)}`;
    const [part, effect] = [`${Math.round(100 * share)} %`, effectSaid(set, column, factor, full)]
      .map((text) => text.replaceAll(" ", "\u00a0")); // a number and its unit stay together
    return element("tr", { class: agrees ? "agrees" : "differs" },
      element("th", { scope: "row" }, pick),
      element("td", {}, nameOf(after), element("small", { hidden: !changed }, changed)),
      element("td", {}, factors[factor], element("small", { class: "number" }, `${part}, ${effect}`)),
      element("td", { class: "agreement" }, agrees ? "✓ yes" : "✗ no"));
  }

  return {
    element: element("div", { class: "result" }, verdict,
      element("table", {}, element("thead", {}, element("tr", {}, ...heads.map((words) =>
        element("th", { scope: "col" }, words)))), rows), rule, doubt),
    summary: () => said.textContent,
    clear() {
      rows.replaceChildren();
      verdict.replaceChildren();
    },
    show(order, first, final, { least, half }) {
      picks = [];
      rows.replaceChildren(...order.map((each, i) => rowOf(each, first[i], final[i], i)));
      const agreed = order.filter(({ agree }, i) => agree.includes(final[i])).length;
      const guessed = order.filter(({ factor, agree }) => agree.includes(factor)).length / factors.length;
      const always = order.filter(({ agree }) => agree.includes(SEVERAL)).length;
      const changes = first.filter((label, i) => label !== final[i]).length;
      said.textContent = `You and the measurement agree on ${agreed} of ${order.length} directions`;
      verdict.replaceChildren(said, `; a reader who guesses among the ${factors.length} factors would agree on about ${
        Number(guessed.toPrecision(1))}, one who always answers “${nameOf(SEVERAL)}” on ${
        always}. ` + (changes ? `On the stills you changed ${changes} of your ${order.length} labels.`
        : "On the stills you kept every label."));
      rule.textContent = "Share: of all that a direction was measured to change, per unit of shift and in standard "
        + "deviations (sd) of each factor. A label agrees if it is the factor with the largest share; “"
        + `${nameOf(SEVERAL)}” agrees, too, where none has ${100 * half} %. Where every factor `
        + `changes by less than ${least} sd, “${nameOf(NOTHING)}” alone agrees.`;
      doubt.textContent = `Neither of the two is the truth: you saw ${CODES} codes, and the measurement has an error, `
        + `too${set.interval ? ", part of which the lines in the bars below show" : ""}. Look again where you differ.`;
    },
    choose(i) {
      picks.forEach((pick, k) => pick.setAttribute("aria-pressed", k === i));
    },
  };
}

/** In another order, by Fisher's and Yates' shuffle. */
function shuffled(list, uniform) {
  const order = [...list];
  for (let i = order.length - 1; i > 0; i -= 1) {
    const j = Math.floor((i + 1) * uniform());
    [order[i], order[j]] = [order[j], order[i]];
  }
  return order;
}
