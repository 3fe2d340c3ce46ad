// Values: a table of coloured cells, a heat map, or statistics with a histogram.

const SVG = "http://www.w3.org/2000/svg";
const SCALE = [[0, 34, 78], [53, 69, 108], [102, 105, 112], [148, 142, 119], [200, 184, 102], [254, 232, 56]];

/** An HTML element with attributes and children; strings become text, never markup. */
function element(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

function shape(tag, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

function filled(made, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined) made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

/** What is shown of a value, under a label. */
function seen(label, value) {
  const box = element("div", { class: "seen" }, element("span", { class: "label" }, label));
  if (value === null || value === undefined) return box;
  if (typeof value === "string") {
    box.append(element("code", {}, ` = ${value}`));
    return box;
  }
  box.append(element("span", { class: "scale" }, ` ${shapeText(value.shape)} ${value.dtype}`));
  if (value.rows === null) box.append(...summary(value));
  else if (!value.rows.length) box.append(element("p", { class: "scale" }, "no element"));
  else box.append(...small(value));
  return box;
}

function shapeText(shape) {
  return `(${shape.join(", ")}${shape.length === 1 ? "," : ""})`;
}

function numberText(v) {
  return typeof v === "string" ? v : String(Number(v.toPrecision(5)));
}

function small(value) {
  const flat = value.rows.flat();
  const finite = flat.filter((v) => typeof v === "number");
  const [low, high] = [Math.min(...finite), Math.max(...finite)];
  if (flat.length <= 20 && value.rows[0].length <= 6) return [element("div", { class: "scroll" }, table(value.rows, low, high))];
  const text = finite.length
    ? `from ${numberText(low)} (dark) to ${numberText(high)} (light)` : "no finite number";
  const odd = flat.length - finite.length;
  const caption = odd ? `${text}; ${odd} not finite (crossed)` : text;
  const numbers = element("details", {}, element("summary", {}, "the numbers"));
  numbers.addEventListener("toggle", () => {
    if (numbers.open && numbers.children.length === 1) {
      numbers.append(element("div", { class: "scroll", tabindex: 0 }, table(value.rows, low, high)));
    }
  });
  const scale = element("div", { class: "scale" }, caption);
  return [heatMap(value.rows, low, high, caption, scale), scale, numbers];
}

function table(rows, low, high) {
  const cell = (v) => {
    const finite = typeof v === "number";
    const t = finite ? tone(v, low, high) : 0;
    const style = finite
      ? `background: rgb(${colour(t)}); color: ${t > 0.45 ? "#000" : "#fff"}`
      : "outline: 1px solid; font-weight: bold";
    return element("td", { style }, numberText(v));
  };
  return element("table", {}, ...rows.map((row) => element("tr", {}, ...row.map(cell))));
}

function heatMap(rows, low, high, caption, scale) {
  const columns = Math.max(...rows.map((row) => row.length));
  const size = Math.max(7, Math.min(18, Math.floor(260 / columns), Math.floor(260 / rows.length)));
  const canvas = element("canvas", {
    width: columns * size, height: rows.length * size, role: "img", "aria-label": `Heat map, ${caption}`,
  });
  const pen = canvas.getContext("2d");
  rows.forEach((row, i) => row.forEach((v, j) => {
    const [x, y] = [j * size, i * size];
    pen.fillStyle = typeof v === "number" ? `rgb(${colour(tone(v, low, high))})` : "#fff";
    pen.fillRect(x, y, size, size);
    if (typeof v === "number") return;
    pen.strokeStyle = "#000";
    pen.beginPath();
    for (const [a, b] of [[0, size], [size, 0]]) {
      pen.moveTo(x, y + a);
      pen.lineTo(x + size, y + b);
    }
    pen.stroke();
  }));
  canvas.addEventListener("pointermove", (event) => {
    const box = canvas.getBoundingClientRect();
    const i = Math.floor(((event.clientY - box.top) / box.height) * rows.length);
    const j = Math.floor(((event.clientX - box.left) / box.width) * columns);
    const v = rows[i]?.[j];
    scale.textContent = v === undefined ? caption : `row ${i}, column ${j}: ${numberText(v)}`;
  });
  canvas.addEventListener("pointerleave", () => (scale.textContent = caption));
  return canvas;
}

function summary(value) {
  const facts = Object.entries(value.statistics)
    .filter(([name, v]) => v !== 0 || !["nan", "inf"].includes(name))
    .map(([name, v]) => `${name} ${numberText(v)}`).join(", ");
  const parts = [element("div", { class: "scale" }, facts)];
  if (value.histogram.length) {
    const most = Math.max(...value.histogram);
    const n = value.histogram.length;
    parts.push(shape(
      "svg", { class: "bars", viewBox: `0 0 ${n} 40`, preserveAspectRatio: "none", role: "img", "aria-label": "Histogram from min to max" },
      ...value.histogram.map((count, i) => {
        const height = (38 * count) / most;
        return shape("rect", { x: i + 0.08, y: 40 - height, width: 0.84, height });
      }),
    ));
  }
  return parts;
}

function tone(v, low, high) {
  return high > low ? (v - low) / (high - low) : 0.5;
}

function colour(t) {
  const place = t * (SCALE.length - 1);
  const i = Math.min(SCALE.length - 2, Math.floor(place));
  return SCALE[i].map((a, k) => Math.round(a + (SCALE[i + 1][k] - a) * (place - i))).join(" ");
}
