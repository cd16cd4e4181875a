// Runs a network in the page: the steps that medlatent/explore/network.py wrote down, in the same order and with the
// same names. Everything lies in one WebAssembly memory: weights, then values, then room for the matrix products,
// which kernel.wat computes; what is between them is plain JavaScript. KERNEL, the assembled kernel, comes with it.

const FORMAT = 1;
const NETWORKS = Symbol.for("medlatent.networks");

/** The network of this specification and these weights (a DataView of float16); one for the whole page.
 *
 * Weights that are not those that were traced are an error: they would decode to pictures, to wrong ones. */
async function openNetwork(spec, weights) {
  if (spec.format !== FORMAT) throw new Error(`a network of format ${spec.format}, not ${FORMAT}`);
  const networks = (globalThis[NETWORKS] ??= new Map());
  if (!networks.has(spec.key)) {
    const opening = WebAssembly.instantiate(Uint8Array.from(atob(KERNEL), (c) => c.charCodeAt(0)))
      .then(({ instance }) => new Network(spec, checkedWeights(spec, weights), instance.exports));
    networks.set(spec.key, opening);
    opening.catch(() => networks.delete(spec.key));
  }
  return networks.get(spec.key);
}

/** The numbers of a network's weights; throws what is wrong with them. */
function checkedWeights({ steps, crc32: stated }, view) {
  const again = "load the page or get the file again, or save it anew";
  const ends = steps.flatMap(({ weight, bias }) => [weight, bias]).map((part) => (part ? part[0] + part[1] : 0));
  const size = 2 * Math.max(0, ...ends);
  if (view.byteLength !== size) throw new Error(`its weights are ${view.byteLength} bytes, not ${size}: ${again}`);
  if (crc32(new Uint8Array(view.buffer, view.byteOffset, view.byteLength)) !== stated) {
    throw new Error(`its weights are not those that were saved: ${again}`);
  }
  const numbers = floats(view);
  if (!numbers.every(Number.isFinite)) throw new Error(`a weight is not finite: ${again}`);
  return numbers;
}

/** The numbers of a DataView of little-endian float16. */
function floats(view) {
  const numbers = new Float32Array(view.byteLength >> 1);
  for (let i = 0; i < numbers.length; i++) {
    const half = view.getUint16(2 * i, true);
    const exponent = (half >> 10) & 31;
    const fraction = (half & 1023) / 1024;
    const size = exponent === 31 ? Infinity : exponent ? 2 ** (exponent - 15) * (1 + fraction) : 2 ** -14 * fraction;
    numbers[i] = half & 0x8000 ? -size : size;
  }
  return numbers;
}

const product = (numbers) => numbers.reduce((a, b) => a * b, 1);
const upTo = (multiple, number) => Math.ceil(number / multiple) * multiple;

class Network {
  constructor(spec, weights, kernel) {
    this.inputs = spec.inputs.map((i) => spec.shapes[i]);
    this.outputs = spec.outputs.map((i) => spec.shapes[i]);
    this.spec = spec;
    this.kernel = kernel;
    this.layout(weights);
    this.program = spec.steps.map((step) => this.compile(step)).filter((run) => run);
  }

  /** Computes the outputs, new Float32Arrays, of one Float32Array for each input. */
  run(inputs) {
    this.load(inputs);
    for (const step of this.program) step();
    return this.results();
  }

  /** What run does before the steps of its program, and after them: for one who takes pauses between them. */
  load(inputs) {
    if (inputs.length !== this.inputs.length) throw new Error(`${this.inputs.length} inputs needed`);
    inputs.forEach((input, i) => {
      if (input.length !== product(this.inputs[i])) {
        throw new Error(`input ${i}: ${input.length} numbers for the shape ${this.inputs[i]}`);
      }
      this.value(this.spec.inputs[i]).set(input);
    });
  }

  results() {
    return this.spec.outputs.map((i) => this.value(i).slice());
  }

  // -------------------------------------------------------------------------------------------------------- memory

  /** Gives every weight and every value its place (counted in floats), and makes the memory as large as needed. */
  layout(weights) {
    const { shapes, steps, inputs, outputs } = this.spec;
    let top = 16; // bytes 0 to 63 stay free: address 0 is nobody's
    const reserve = (size) => {
      const start = top;
      top = upTo(16, top + size);
      return start;
    };
    // Weights of matrix products are padded: rows to a multiple of 4, and for a vector columns, too.
    this.placed = steps.map((step) => {
      const [y, x] = [shapes[step.y], step.x.length ? shapes[step.x[0]] : []];
      if (step.op === "linear") return this.padded(step, y[0], x[0], upTo(4, x[0]), reserve);
      if (step.op === "conv") return this.padded(step, y[0], step.weight[1] / y[0], undefined, reserve);
      if (step.op === "conv_transpose") return this.padded(step, step.weight[1] / x[0], x[0], undefined, reserve);
      if (!step.weight) return null;
      return { weight: reserve(step.weight[1]), bias: step.bias && reserve(step.bias[1]) };
    });

    // A view has no memory of its own; what acts on each number by itself writes where it reads, if nobody else does.
    const root = shapes.map((_, i) => i);
    const readers = shapes.map(() => 0);
    for (const { op, x, y } of steps) {
      if (op === "view") root[y] = root[x[0]];
      else x.forEach((i) => readers[root[i]]++);
    }
    const kept = new Set([...inputs, ...outputs].map((i) => root[i]));
    this.start = new Array(shapes.length);
    for (const i of inputs) this.start[i] = reserve(upTo(4, product(shapes[i])));
    let columns = 0;
    let panel = 0;
    for (const step of steps) {
      const { op, x, y } = step;
      const free = x.length && readers[root[x[0]]] === 1 && !kept.has(root[x[0]]);
      if (op === "view") this.start[y] = this.start[x[0]] + step.start;
      else if (["activation", "affine", "norm"].includes(op) && free) this.start[y] = this.start[x[0]];
      else this.start[y] = reserve(upTo(4, shapes[y][0]) * product(shapes[y].slice(1))); // products fill four rows
      const needs = this.scratch(step);
      columns = Math.max(columns, needs.columns);
      panel = Math.max(panel, needs.panel);
    }
    this.columns = reserve(columns);
    this.panel = reserve(panel);
    const missing = top * 4 - this.kernel.memory.buffer.byteLength;
    if (missing > 0) this.kernel.memory.grow(Math.ceil(missing / 65536));
    this.memory = new Float32Array(this.kernel.memory.buffer);
    steps.forEach((step, s) => this.fill(step, this.placed[s], weights));
  }

  padded(step, rows, columns, stride, reserve) {
    stride ??= columns;
    const weight = reserve(upTo(4, rows) * stride);
    return { rows, columns, stride, weight, bias: reserve(upTo(4, rows)) };
  }

  /** How many floats a step needs beside its values: the columns of a convolution, the panel of the product. */
  scratch({ op, x, y, weight, kernel }) {
    const [from, to] = [x.length ? this.spec.shapes[x[0]] : [], this.spec.shapes[y]];
    if (op === "conv") {
      const [inner, wide] = [weight[1] / to[0], upTo(8, to[1] * to[2])];
      return { columns: (inner + upTo(4, to[0])) * wide, panel: 8 * inner };
    }
    if (op === "conv_transpose") {
      const [rows, wide] = [upTo(4, to[0] * product(kernel)), upTo(8, from[1] * from[2])];
      return { columns: (rows + from[0]) * wide, panel: 8 * from[0] };
    }
    return { columns: 0, panel: op === "linear" ? upTo(4, from[0]) : 0 };
  }

  fill(step, placed, weights) {
    if (!placed) return;
    const { weight, bias } = step;
    const { rows = 1, columns = weight[1], stride = columns } = placed;
    for (let r = 0; r < rows; r++) {
      const from = weight[0] + r * columns;
      this.memory.set(weights.subarray(from, from + columns), placed.weight + r * stride);
    }
    // A transposed convolution adds its bias after the product, to every channel: it must not be in the product.
    if (bias) placed.biases = weights.slice(bias[0], bias[0] + bias[1]);
    if (bias && step.op !== "conv_transpose") this.memory.set(placed.biases, placed.bias);
  }

  value(i) {
    return this.memory.subarray(this.start[i], this.start[i] + product(this.spec.shapes[i]));
  }

  // --------------------------------------------------------------------------------------------------------- steps

  compile(step) {
    const index = this.spec.steps.indexOf(step);
    const x = step.x.map((i) => this.value(i));
    const from = step.x.map((i) => this.spec.shapes[i]);
    const [y, to, placed] = [this.value(step.y), this.spec.shapes[step.y], this.placed[index]];
    const part = (name) => this.memory.subarray(placed[name], placed[name] + step[name][1]);
    switch (step.op) {
      case "view":
        return null;
      case "constant":
        y.set(part("weight"));
        return null;
      case "linear":
        return this.linear(step, placed);
      case "conv":
        return this.conv(step, placed, from[0], to);
      case "conv_transpose":
        return this.convTranspose(step, placed, from[0], to);
      case "affine":
        return affine(x[0], y, part("weight"), part("bias"));
      case "norm":
        return norm(x[0], y, step.groups, step.eps, part("weight"), part("bias"));
      case "activation":
        return this.rectifier(step) ?? activation(x[0], y, step.kind, step.arguments);
      case "binary":
        return this.sum(step) ?? binary(x[0], x[1], y, step.kind);
      case "softmax":
        return softmax(x[0], y);
      case "concatenate":
        return () => x.reduce((at, values) => (y.set(values, at), at + values.length), 0);
      case "upsample":
        return upsample(x[0], y, from[0], to);
      case "average_pool":
        return pool(x[0], y, from[0], to, { ...step, padding: [0, 0] }, true);
      case "max_pool":
        return pool(x[0], y, from[0], to, step, false);
      default:
        throw new Error(`the step ${step.op} is unknown`);
    }
  }

  linear({ x, y }, { rows, columns, stride, weight, bias }) {
    const input = this.value(x[0]);
    // What lies behind the input is another's: where columns are padded, a copy of the input ends in zeros.
    const copied = stride !== columns;
    const at = copied ? this.panel : this.start[x[0]];
    const copy = this.memory.subarray(at, at + stride);
    const [a, b, c] = [weight, bias, this.start[y]].map((i) => 4 * i);
    return () => {
      if (copied) {
        copy.fill(0, columns);
        copy.set(input);
      }
      this.kernel.gemv(a, 4 * at, b, c, upTo(4, rows), stride);
    };
  }

  /** Convolution: every patch of the image becomes a column, and the weights are multiplied with the columns. */
  conv(step, placed, from, to) {
    const n = to[1] * to[2];
    const padded = upTo(8, n);
    const unpadded = from[1] === to[1] && from[2] === to[2];
    const pointwise = padded === n && [...step.kernel, ...step.stride].every((k) => k === 1) && unpadded;
    const [image, output] = [this.start[step.x[0]], this.value(step.y)];
    const patches = pointwise ? image : this.columns;
    const result = padded === n ? this.start[step.y] : this.columns + placed.columns * padded;
    const [a, b, bias, c, panel] = [placed.weight, patches, placed.bias, result, this.panel].map((i) => 4 * i);
    return () => {
      if (!pointwise) this.gatherPatches(image, patches, from, to, step, padded);
      this.kernel.gemm(a, b, bias, c, panel, upTo(4, to[0]), placed.columns, padded);
      for (let o = 0; o < to[0] && padded !== n; o++) {
        output.set(this.memory.subarray(result + o * padded, result + o * padded + n), o * n);
      }
    };
  }

  /** Transposed convolution: every pixel spreads a patch; the patches are the product, then they are added up. */
  convTranspose(step, placed, from, to) {
    const n = from[1] * from[2];
    const padded = upTo(8, n);
    const rows = upTo(4, placed.rows);
    const [input, output, patches] = [this.value(step.x[0]), this.value(step.y), this.columns];
    const copy = padded === n ? this.start[step.x[0]] : patches + rows * padded;
    const [a, b, bias, c, panel] = [placed.weight, copy, placed.bias, patches, this.panel].map((i) => 4 * i);
    return () => {
      for (let i = 0; i < from[0] && padded !== n; i++) {
        this.memory.set(input.subarray(i * n, (i + 1) * n), copy + i * padded);
      }
      this.kernel.gemm(a, b, bias, c, panel, rows, from[0], padded);
      for (let o = 0; o < to[0]; o++) output.fill(placed.biases[o], o * to[1] * to[2], (o + 1) * to[1] * to[2]);
      this.scatterPatches(patches, this.start[step.y], from, to, step, padded);
    };
  }

  /** ReLU and leaky ReLU by the kernel; null for what it does not do. */
  rectifier({ kind, arguments: [slope = 0], x, y }) {
    if (!(kind === "relu" || (kind === "leaky_relu" && slope <= 1))) return null;
    const [from, to, n] = [4 * this.start[x[0]], 4 * this.start[y], this.value(y).length];
    return n % 4 ? null : () => this.kernel.rectify(from, to, n, slope);
  }

  /** The sum of two values of the same size by the kernel; null for what it does not do. */
  sum({ kind, x, y }) {
    const [a, b, target] = [this.value(x[0]), this.value(x[1]), this.value(y)];
    if (kind !== "add" || a.length !== b.length) return null;
    const [to, from] = [4 * this.start[y], 4 * this.start[x[1]]];
    return () => {
      target.set(a);
      this.kernel.scatter(to, from, b.length, 4);
    };
  }

  /** Row (c, i, j) of the patches gets, for every place (r, q) of the output, the pixel that weight (i, j) meets. */
  gatherPatches(image, patches, [channels, high, wide], [, rows, columns], step, padded) {
    const { kernel, stride, padding, dilation } = step;
    const { gather } = this.kernel;
    this.memory.fill(0, patches, patches + channels * kernel[0] * kernel[1] * padded); // where a patch hangs over
    for (let c = 0, at = patches; c < channels; c++) {
      for (let i = 0; i < kernel[0]; i++) {
        const top = i * dilation[0] - padding[0];
        const [first, last] = inside(top, stride[0], high, rows);
        for (let j = 0; j < kernel[1]; j++, at += padded) {
          const left = j * dilation[1] - padding[1];
          const [begin, end] = inside(left, stride[1], wide, columns);
          for (let r = first; r < last; r++) {
            const pixel = image + (c * high + top + r * stride[0]) * wide + left + begin * stride[1];
            gather(4 * (at + r * columns + begin), 4 * pixel, end - begin, 4 * stride[1]);
          }
        }
      }
    }
  }

  /** Adds row (c, i, j) of the patches, which holds a number for every pixel (r, q) of the input, to the image. */
  scatterPatches(patches, image, [, high, wide], [channels, rows, columns], step, padded) {
    const { kernel, stride, padding } = step;
    const { scatter } = this.kernel;
    for (let c = 0, at = patches; c < channels; c++) {
      for (let i = 0; i < kernel[0]; i++) {
        const top = i - padding[0];
        const [first, last] = inside(top, stride[0], rows, high);
        for (let j = 0; j < kernel[1]; j++, at += padded) {
          const left = j - padding[1];
          const [begin, end] = inside(left, stride[1], columns, wide);
          for (let r = first; r < last; r++) {
            const pixel = image + (c * rows + top + r * stride[0]) * columns + left + begin * stride[1];
            scatter(4 * pixel, 4 * (at + r * wide + begin), end - begin, 4 * stride[1]);
          }
        }
      }
    }
  }
}

/** The first i of 0 to count - 1 for which start + i · step lies in 0 to size - 1, and the one after the last. */
function inside(start, step, size, count) {
  const first = Math.max(0, Math.ceil(-start / step));
  return [first, Math.max(first, Math.min(count, Math.ceil((size - start) / step)))];
}

function affine(x, y, weight, bias) {
  const n = x.length / weight.length;
  return () => {
    for (let c = 0, i = 0; c < weight.length; c++) {
      for (const end = i + n; i < end; i++) y[i] = weight[c] * x[i] + bias[c];
    }
  };
}

/** Group normalisation; with one channel a group it is instance normalisation. */
function norm(x, y, groups, eps, weight, bias) {
  const [n, channels] = [x.length / groups, weight.length / groups];
  return () => {
    for (let g = 0; g < groups; g++) {
      let [sum, squares] = [0, 0];
      for (let i = g * n; i < (g + 1) * n; i++) sum += x[i];
      const mean = sum / n;
      for (let i = g * n; i < (g + 1) * n; i++) squares += (x[i] - mean) ** 2;
      const scale = 1 / Math.sqrt(squares / n + eps);
      for (let i = 0; i < n; i++) {
        const c = g * channels + Math.floor((i * channels) / n);
        y[g * n + i] = (x[g * n + i] - mean) * scale * weight[c] + bias[c];
      }
    }
  };
}

/** The error function, by Abramowitz and Stegun 7.1.26 refined with the complementary series: error below 1.2e-7. */
function erf(x) {
  const t = 1 / (1 + 0.5 * Math.abs(x));
  const series = [
    -1.26551223, 1.00002368, 0.37409196, 0.09678418, -0.18628806, 0.27886807, -1.13520398, 1.48851587, -0.82215223,
    0.17087277,
  ];
  let power = 0;
  for (let i = series.length - 1; i >= 0; i--) power = power * t + series[i];
  const rest = t * Math.exp(-x * x + power);
  return x >= 0 ? 1 - rest : rest - 1;
}

const ACTIVATIONS = {
  relu: () => (v) => (v > 0 ? v : 0),
  leaky_relu: (slope) => (v) => (v > 0 ? v : slope * v),
  elu: (alpha) => (v) => (v > 0 ? v : alpha * Math.expm1(v)),
  gelu: () => (v) => 0.5 * v * (1 + erf(v * Math.SQRT1_2)),
  silu: () => (v) => v / (1 + Math.exp(-v)),
  softplus: (beta, threshold) => (v) => (beta * v > threshold ? v : Math.log1p(Math.exp(beta * v)) / beta),
  sigmoid: () => (v) => 1 / (1 + Math.exp(-v)),
  tanh: () => Math.tanh,
  exp: () => Math.exp,
  clamp: (low, high) => (v) => Math.min(high, Math.max(low, v)),
  linear: (scale, shift) => (v) => scale * v + shift,
};

function activation(x, y, kind, parameters) {
  const f = ACTIVATIONS[kind](...parameters);
  return () => {
    for (let i = 0; i < x.length; i++) y[i] = f(x[i]);
  };
}

function binary(a, b, y, kind) {
  const f = { add: (u, v) => u + v, sub: (u, v) => u - v, mul: (u, v) => u * v, div: (u, v) => u / v }[kind];
  const n = a.length / b.length; // of b there is one number a channel, or one for each of a
  return () => {
    for (let c = 0, i = 0; c < b.length; c++) {
      for (const end = i + n; i < end; i++) y[i] = f(a[i], b[c]);
    }
  };
}

function softmax(x, y) {
  return () => {
    const largest = x.reduce((a, b) => Math.max(a, b));
    let sum = 0;
    for (let i = 0; i < x.length; i++) sum += y[i] = Math.exp(x[i] - largest);
    for (let i = 0; i < x.length; i++) y[i] /= sum;
  };
}

function upsample(x, y, [channels, high, wide], [, rows, columns]) {
  const [tall, broad] = [rows / high, columns / wide];
  return () => {
    for (let c = 0, i = 0; c < channels; c++) {
      for (let r = 0; r < rows; r++) {
        const row = (c * high + Math.floor(r / tall)) * wide;
        for (let q = 0; q < columns; q++, i++) y[i] = x[row + Math.floor(q / broad)];
      }
    }
  };
}

/** Average or largest value of each window; what lies outside the image takes no part. */
function pool(x, y, [channels, high, wide], [, rows, columns], { kernel, stride, padding }, average) {
  return () => {
    for (let c = 0, i = 0; c < channels; c++) {
      for (let r = 0; r < rows; r++) {
        const top = r * stride[0] - padding[0];
        for (let q = 0; q < columns; q++, i++) {
          const left = q * stride[1] - padding[1];
          let value = average ? 0 : -Infinity;
          for (let u = Math.max(0, top); u < Math.min(high, top + kernel[0]); u++) {
            for (let v = Math.max(0, left); v < Math.min(wide, left + kernel[1]); v++) {
              const pixel = x[(c * high + u) * wide + v];
              value = average ? value + pixel : Math.max(value, pixel);
            }
          }
          y[i] = average ? value / (kernel[0] * kernel[1]) : value;
        }
      }
    }
  };
}
