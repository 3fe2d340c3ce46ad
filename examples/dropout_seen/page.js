// What is seen: the controls, and the pictures that follow from them.
"use strict";

const byId = (id) => document.getElementById(id);
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`);
const percent = (x) => `${(100 * x).toFixed(1)} %`;

function bytes(base64) {
  return Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
}

// Weights travel as integers of 16 bits and a factor, low byte first on every machine.
function unpacked({ weight, factor, bias, inputs, outputs }) {
  const view = new DataView(bytes(weight).buffer);
  const integer = (_, i) => view.getInt16(2 * i, true) * factor;
  const numbers = Float64Array.from({ length: inputs * outputs }, integer);
  return { weight: numbers, bias, inputs, outputs };
}

const data = JSON.parse(byId("data").textContent);
const layers = data.layers.map(unpacked);
const images = bytes(data.images);
const PIXELS = 784;
const SHOWN = 12; // sub-networks in the row
const ON_SCREEN = 900; // milliseconds for each, while playing

const now = { image: 0, p: 0.5, seed: [0, 0], offset: [0, 0] };
let pass, generator, expected, sum, passes, distances, history, timer;

const picture = (i) => images.subarray(PIXELS * i, PIXELS * (i + 1));
const pixels = () => Float64Array.from(picture(now.image), (byte) => byte / 255);
const label = () => data.labels[now.image];
const scaling = () => forward(layers, pixels(), now.p).probabilities;

// ------------------------------------------------------------------------- passes

// One pass from where the generator stands; its answer is counted.
function draw() {
  now.offset = generator.state[2];
  pass = forward(layers, pixels(), now.p, generator);
  passes += 1;
  sum = pass.probabilities.map((value, i) => value + (sum ? sum[i] : 0));
  const mean = sum.map((value) => value / passes);
  distances.push(Math.max(...mean.map((value, i) => Math.abs(value - expected[i]))));
  history.unshift(pass);
  history.length = Math.min(history.length, SHOWN);
}

// Start to count anew, with the masks from an offset on.
function restart(offset) {
  generator = new Generator(now.seed, [0, 0], offset);
  expected = scaling();
  [sum, passes, distances, history] = [null, 0, [], []];
  draw();
  show();
}

function again(times = 1) {
  for (let i = 0; i < times; i++) draw();
  show();
}

function play(on) {
  clearInterval(timer);
  timer = on ? setInterval(again, ON_SCREEN) : undefined;
  byId("play").setAttribute("aria-pressed", String(on));
  byId("play").firstChild.textContent = on ? "Pause " : "Play ";
}

// ------------------------------------------------------------------------- pictures

const [SIDE, CELL, ARM] = [16, 12, 2.5]; // cells in a row; pixels of a cell, and of half a cross

// Draw 256 cells, each a [shape, size]: a square, a disc, or a cross for what was dropped.
function cells(canvas, shapes, colours) {
  const context = canvas.getContext("2d");
  canvas.width = canvas.height = SIDE * CELL;
  shapes.forEach(([shape, size], i) => {
    const [x, y] = [((i % SIDE) + 0.5) * CELL, (Math.floor(i / SIDE) + 0.5) * CELL];
    const r = (Math.sqrt(Math.min(size, 1)) * (CELL - 1)) / 2;
    const path = new Path2D();
    if (shape === "dropped") {
      for (const slope of [1, -1]) {
        path.moveTo(x - ARM, y - slope * ARM);
        path.lineTo(x + ARM, y + slope * ARM);
      }
      context.strokeStyle = colours[shape];
      context.stroke(path);
      return;
    }
    if (shape === "negative") path.arc(x, y, r, 0, 2 * Math.PI);
    else path.rect(x - r, y - r, 2 * r, 2 * r);
    context.fillStyle = colours[shape];
    context.fill(path);
  });
}

const PICTURES = [
  ["h", "without dropout: h"],
  ["keep", "the mask"],
  ["y", "with: h · mask / (1 − p)"],
  ["behind", "gradient that comes back"],
  ["front", "through the same mask"],
];

function shapesOf(layer, name, top) {
  return Array.from(layer[name], (value, i) => {
    if (name !== "h" && name !== "behind" && !layer.keep[i]) return ["dropped", 1];
    if (name === "behind" || name === "front") {
      return [value < 0 ? "negative" : "positive", Math.abs(value) / top];
    }
    return ["kept", value / top];
  });
}

function told(layer, name) {
  const dropped = layer.keep.reduce((n, keep) => n + !keep, 0);
  const zeros = layer[name].reduce((n, value) => n + (value === 0), 0);
  if (name === "keep") return `${dropped} of ${layer.keep.length} dropped`;
  return `${zeros} of ${layer.keep.length} are 0`;
}

function showLayers(colours) {
  pass.hidden.forEach((layer, i) => {
    const values = [...layer.h, ...layer.y].reduce((a, b) => Math.max(a, b), 1e-9);
    const gradients = [...layer.behind, ...layer.front];
    const slopes = gradients.reduce((a, b) => Math.max(a, Math.abs(b)), 1e-9);
    const tops = { h: values, y: values, keep: 1, behind: slopes, front: slopes };
    for (const [name, title] of PICTURES) {
      const figure = byId(`layer${i}-${name}`);
      const words = `${title}; ${told(layer, name)}`;
      cells(figure.firstChild, shapesOf(layer, name, tops[name]), colours);
      figure.firstChild.setAttribute("aria-label", `hidden layer ${i + 1}, ${words}`);
      figure.lastChild.textContent = words;
    }
  });
}

function showClasses() {
  const mean = sum.map((value) => value / passes);
  byId("mean-title").textContent = `mean of ${passes} passes`;
  [...byId("classes").rows].forEach((row, i) => {
    row.className = i === label() ? "label" : "";
    row.cells[0].textContent = data.classes[i] + (i === label() ? " (right)" : "");
    [pass.probabilities, mean, expected].forEach((values, column) => {
      const [text, bar] = row.cells[column + 1].children;
      text.textContent = percent(values[i]);
      bar.style.width = `${100 * values[i]}%`;
    });
  });
}

function showHistory(colours) {
  const items = history.map((one, age) => {
    const item = document.createElement("li");
    const canvas = item.appendChild(document.createElement("canvas"));
    const best = one.probabilities.indexOf(Math.max(...one.probabilities));
    const words = `${data.classes[best]} ${percent(one.probabilities[best])}`;
    const mask = Array.from(one.hidden[0].keep, (keep) => [keep ? "kept" : "dropped", 1]);
    cells(canvas, mask, colours);
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", `mask of pass ${passes - age}`);
    item.append(`${passes - age}: ${words}`);
    return item;
  });
  byId("history").replaceChildren(...items);
}

const [LEFT, RIGHT, TOP, BOTTOM] = [84, 584, 20, 184];

function showCurve() {
  const k = distances.length, top = Math.max(...distances, 1e-3);
  const across = (i) => LEFT + ((RIGHT - LEFT) * Math.log(i)) / Math.log(Math.max(k, 10));
  const up = (value) => BOTTOM - ((BOTTOM - TOP) * value) / top;
  const parts = [];
  for (const share of [0, 0.5, 1]) {
    const y = up(share * top);
    parts.push(`<line x1="${LEFT}" x2="${RIGHT}" y1="${y}" y2="${y}"/>`);
    parts.push(`<text x="4" y="${y + 4}">${percent(share * top)}</text>`);
  }
  for (let tick = 1; tick <= Math.max(k, 10); tick *= 10) {
    parts.push(`<text x="${across(tick)}" y="208" text-anchor="middle">${tick}</text>`);
  }
  const points = distances.map((value, i) => `${across(i + 1).toFixed(1)},${up(value).toFixed(1)}`);
  parts.push(`<text x="${RIGHT}" y="234" text-anchor="end">k, the number of passes</text>`);
  parts.push(`<polyline points="${points.join(" ")}"/>`);
  const words =
    `After ${k} ${k > 1 ? "passes" : "pass"} the mean differs from weight scaling by at most ` +
    `${percent(distances.at(-1))} in any class.`;
  byId("curve").innerHTML = `<title id="curve-title">${words}</title>${parts.join("")}`;
  byId("distance").textContent = words;
}

function showState() {
  const [seed, offset] = [now.seed, now.offset].map(digitsOf);
  const drawn = now.p > 0 && now.p < 1;
  byId("p-value").textContent = now.p.toFixed(2);
  byId("state").textContent =
    `Pass ${passes}: the masks of seed ${seed}, stream 0, offset ${offset}.` +
    (drawn ? "" : ` With p = ${now.p} nothing is drawn.`);
  byId("code").textContent =
    ">>> from minigrad import Generator\n>>> g = Generator()\n" +
    `>>> g.set_state((${seed}, 0, ${offset}))\n` +
    `>>> first, second = g.keep_mask((1, 256), ${now.p}), g.keep_mask((1, 256), ${now.p})`;
}

function show() {
  backward(layers, pass, label());
  const colours = {};
  for (const name of ["kept", "positive", "negative", "dropped"]) colours[name] = colour(name);
  showState();
  showLayers(colours);
  showHistory(colours);
  showClasses();
  showCurve();
  [...byId("images").children].forEach((button, i) => {
    button.setAttribute("aria-pressed", String(i === now.image));
  });
}

// ------------------------------------------------------------------------- controls

function build() {
  data.labels.forEach((label, i) => {
    const button = byId("images").appendChild(document.createElement("button"));
    button.type = "button";
    button.setAttribute("aria-label", `image ${i + 1}: ${data.classes[label]}`);
    const canvas = button.appendChild(document.createElement("canvas"));
    canvas.width = canvas.height = 28;
    const grey = new ImageData(28, 28);
    picture(i).forEach((byte, j) => grey.data.set([byte, byte, byte, 255], 4 * j));
    canvas.getContext("2d").putImageData(grey, 0, 0);
    button.onclick = () => {
      now.image = i;
      restart([0, 0]);
    };
  });
  layers.slice(0, -1).forEach((_, i) => {
    const row = byId("layers").appendChild(document.createElement("div"));
    row.className = "layer";
    row.appendChild(document.createElement("h3")).textContent = `Hidden layer ${i + 1}`;
    for (const [name] of PICTURES) {
      const figure = row.appendChild(document.createElement("figure"));
      figure.id = `layer${i}-${name}`;
      figure.appendChild(document.createElement("canvas")).setAttribute("role", "img");
      figure.appendChild(document.createElement("figcaption"));
    }
  });
  for (let i = 0; i < data.classes.length; i++) {
    const row = byId("classes").insertRow();
    row.appendChild(document.createElement("th")).scope = "row";
    for (let column = 0; column < 3; column++) {
      row.insertCell().append(document.createElement("span"), document.createElement("div"));
      row.lastChild.lastChild.className = "bar";
    }
  }
}

build();
byId("p").oninput = (event) => {
  now.p = Number(event.target.value);
  restart(now.offset); // the same numbers, compared with another threshold
};
byId("seed").onchange = (event) => {
  const word = /^\d{1,20}$/.test(event.target.value) ? wordOf(event.target.value) : null;
  const fits = word !== null && digitsOf(word) === event.target.value.replace(/^0+(?=\d)/, "");
  event.target.setCustomValidity(fits ? "" : "an integer from 0 to 2⁶⁴ − 1");
  event.target.reportValidity();
  if (!fits) return;
  now.seed = word;
  restart([0, 0]);
};
byId("again").onclick = () => again();
byId("play").onclick = () => play(timer === undefined);
byId("many").onclick = () => again(100);
byId("restart").onclick = () => {
  play(false);
  restart([0, 0]);
};
document.onkeydown = (event) => {
  const button = { d: "again", p: "play", m: "many", r: "restart" }[event.key.toLowerCase()];
  const typing = event.target.id === "seed" || event.ctrlKey || event.metaKey || event.altKey;
  if (button && !typing) byId(button).click();
};
matchMedia("(prefers-color-scheme: dark)").onchange = show;
restart([0, 0]);
