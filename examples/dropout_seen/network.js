// The network: forward with the masks of a generator, and back, as minigrad's table says.
"use strict";

// y = W x + b; a layer is {weight, bias, inputs, outputs}.
function linear({ weight, bias, inputs, outputs }, x) {
  const y = Float64Array.from(bias);
  for (let i = 0; i < outputs; i++) {
    let sum = 0;
    for (let j = 0; j < inputs; j++) sum += weight[i * inputs + j] * x[j];
    y[i] += sum;
  }
  return y;
}

// The gradient for x: g W.
function linearBack({ weight, inputs, outputs }, g) {
  const back = new Float64Array(inputs);
  for (let i = 0; i < outputs; i++) {
    if (g[i] === 0) continue;
    for (let j = 0; j < inputs; j++) back[j] += g[i] * weight[i * inputs + j];
  }
  return back;
}

const relu = (x) => x.map((value) => Math.max(value, 0));
const maskedScale = (x, keep, scale) => x.map((value, i) => value * keep[i] * scale);

function softmax(x) {
  const powers = x.map((value) => Math.exp(value - Math.max(...x)));
  const sum = powers.reduce((a, b) => a + b);
  return powers.map((value) => value / sum);
}

// A hidden layer behind its dropout: nothing is drawn for p = 0, for p = 1, or at rest.
function dropout(h, p, generator) {
  if (generator === null || p === 0) return { h, keep: h.map(() => 1), scale: 1, y: h };
  const keep = p === 1 ? new Uint8Array(h.length) : generator.keepMask(h.length, p);
  const scale = p < 1 ? 1 / (1 - p) : 0;
  return { h, keep, scale, y: maskedScale(h, keep, scale) };
}

// One pass through the layers; without a generator it is evaluation: weight scaling.
function forward(layers, x, p, generator = null) {
  const hidden = [];
  for (const layer of layers.slice(0, -1)) {
    hidden.push(dropout(relu(linear(layer, x)), p, generator));
    x = hidden.at(-1).y;
  }
  return { hidden, probabilities: softmax(linear(layers.at(-1), x)) };
}

// The gradients of the cross-entropy for each hidden layer: in front of its mask, and behind.
function backward(layers, { hidden, probabilities }, label) {
  let g = probabilities.map((value, i) => value - (i === label));
  for (let i = hidden.length - 1; i >= 0; i--) {
    const { h, keep, scale } = hidden[i];
    const behind = linearBack(layers[i + 1], g);
    const front = maskedScale(behind, keep, scale); // dropout's backward is dropout: the same mask
    Object.assign(hidden[i], { behind, front });
    g = front.map((value, j) => (h[j] > 0 ? value : 0));
  }
}
