// Typesets the formulas, makes what is too large for its slide smaller, and starts the presentation.
(async () => {
  const LEAST = 0.5; // of the type size of deck.css

  // What sticks out of a slide, or of its own box.
  const overflows = frame => {
    const end = frame.getBoundingClientRect().right - parseFloat(getComputedStyle(frame).paddingRight) + 1;
    const wide = box => box.getBoundingClientRect().right > end || (box.matches("pre, .highlight") && box.scrollWidth > box.clientWidth + 1);
    return (
      frame.scrollHeight > frame.clientHeight + 1 ||
      [...frame.querySelectorAll("mjx-container > svg, table, pre, .highlight, img, p, li")].some(
        box => !box.closest("aside") && wide(box),
      )
    );
  };

  const fit = frame => {
    for (let scale = 1; overflows(frame) && scale > LEAST; scale -= 0.04) frame.style.setProperty("--scale", scale - 0.04);
  };

  // The speaker's window has no style sheet of MathJax: a copy for screen readers would be seen there.
  const bare = aside => {
    for (const formula of aside.querySelectorAll("mjx-assistive-mml")) formula.remove();
  };

  document.documentElement.classList.add("measuring"); // all slides are shown: what is hidden has no size
  await MathJax.startup.promise;
  await MathJax.typesetPromise();
  await Promise.all([...document.images].map(image => image.decode().catch(() => {})));
  await document.fonts.ready;
  document.querySelectorAll("aside.notes").forEach(bare);
  document.querySelectorAll(".frame").forEach(fit);
  document.documentElement.classList.remove("measuring");
  await Reveal.initialize({
    width: 1280,
    height: 720,
    margin: 0,
    center: false,
    hash: true,
    slideNumber: "c/t",
    transition: "none",
    controlsTutorial: false,
    plugins: [RevealNotes],
  });
})();
