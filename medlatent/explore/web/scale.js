/* Scales: how the value z of a dimension is said, in the code's own numbers or in a unit.

   left, right    the ends of a slider with these limits of z: to the right is more of what is said
   to, from       between z and the number that stands for it
   snap           z as the reader may set it, rounded as it is said
   stepped        z after so many tens of steps, snapped: 0.1 is one step, as of z
   show           in words; brief, without its unit; end, at the end of a range */

/** The scale of the code itself, where a dimension has none of its own. */
const PLAIN = {
  unit: "",
  ends: (limits) => limits,
  to: (z) => z,
  from: (z) => z,
  snap: hundredths,
  stepped: (z, tens) => hundredths(z + tens),
  show: (z, digits = 2) => signed(z, digits),
  brief: (z) => signed(z).replace(/\.?0+$/, ""),
  end: (z) => plain(z),
};

/** The scale of a dimension that is shown as offset + factor · z in a unit. */
function scaleIn({ offset, factor, unit }) {
  const step = roundNumber(Math.abs(factor) / 10);
  const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  const to = (z) => offset + factor * z;
  const from = (value) => (value - offset) / factor;
  const snap = (z) => from(Number(to(z).toFixed(digits)));
  const brief = (z) => withMinus(to(z), digits);
  const show = (z) => withUnit(brief(z), unit);
  return {
    unit,
    ends: ([lo, hi]) => (factor > 0 ? [lo, hi] : [hi, lo]),
    to,
    from,
    snap,
    stepped: (z, tens) => snap(from(to(z) + 10 * tens * step)),
    show,
    brief,
    end: show,
  };
}

/** The number 1, 2 or 5 times a power of ten that is nearest by ratio. */
function roundNumber(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  const distance = (round) => Math.abs(Math.log(value / (round * power)));
  return power * [1, 2, 5, 10].reduce((a, b) => (distance(b) < distance(a) ? b : a));
}

/** A number with so many digits, 0 without a sign. */
function withMinus(value, digits) {
  const text = Math.abs(value).toFixed(digits);
  return (value < 0 && Number(text) ? "−" : "") + text;
}

function withUnit(number, unit) {
  return unit ? `${number}${unit === "°" ? "" : " "}${unit}` : number;
}
