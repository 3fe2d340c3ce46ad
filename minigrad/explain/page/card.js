// The card: what there is to know of a step, or of a place that was chosen.

function bytesText(n) {
  if (n < 10000) return `${n} B`;
  return n < 1e7 ? `${Math.round(n / 1000)} kB` : `${Math.round(n / 1e6)} MB`;
}

function paragraph(text, kind) {
  return element("p", kind ? { class: kind } : {}, text);
}

/** The line of a target: where a piece goes, and what becomes of it on the way. */
function wayText(piece) {
  const goal = typeof piece.target === "number"
    ? `${piece.target}. ${data.steps[piece.target - 1].op}` : piece.target;
  const summed = piece.summed ? `summed from ${shapeText(piece.shape)} to ${shapeText(piece.summed)}, ` : "";
  const cast = piece.cast ? `cast from ${piece.dtype} to ${piece.cast}, ` : "";
  return summed + cast + (piece.added ? `added to what came to ${goal}` : `to ${goal}`);
}

/** The formula with numbers for its names, where all are single numbers; null where they are not. */
function withNumbers(piece, g) {
  const found = /^lambda ([\w, ]*): ([^]*)$/.exec(piece.formula);
  if (!found || piece.summed) return null;
  const number = (value) => {
    if (typeof value === "string") return value;
    if (value?.rows?.length !== 1 || value.rows[0].length !== 1) return null;
    const text = numberText(value.rows[0][0]);
    return text.startsWith("-") ? `(${text})` : text;
  };
  const values = { g: number(g) };
  for (const read of piece.reads) values[read.name] = number(read.seen);
  const result = number(piece.seen);
  if (result === null || Object.values(values).includes(null)) return null;
  const body = found[2].replace(/(?<![.\w])[A-Za-z_]\w*/g, (name) => values[name] ?? name);
  return body === result ? null : `${body} = ${result}`;
}

function readText(read) {
  if (read.seen === null) return `${read.name}: freed, or changed in place since`;
  if (!read.nbytes) return read.name;
  const others = read.others.length ? `, the same as ${read.others.join(", ")} keeps` : "";
  return `${read.name}, kept: ${bytesText(read.nbytes)}${read.own ? " of a leaf" : others}`;
}

function heading(title, of) {
  return element("h2", {}, title, element("span", { class: "scale" }, ` ${shapeText(of.shape)} ${of.dtype}`));
}

/** Where an op comes from, as far as it was recorded. */
function origin(step) {
  return [
    step.where ? paragraph(`made at ${step.where}`, "note") : null,
    step.calls.length ? paragraph(`in ${step.calls.join(" › ")}`, "note") : null,
  ].filter(Boolean);
}

function resultOf(step) {
  if (step.value !== null) return seen("y", step.value);
  return paragraph("The graph does not keep this result: to see it, compute in `with recording():`.", "note");
}

/** A visit of the walk: the gradient that came, and what each entry makes of it. */
function visitCard(step) {
  const parts = [heading(`${step.number}. ${step.op}`, step)];
  if (step.stop) parts.push(paragraph(`The walk would stop here. ${step.stop}`, "stop"));
  if (step.hooks) parts.push(paragraph(`${step.hooks} hook(s) will see g first, and may replace it (not run here).`, "note"));
  if (step.seen !== null) parts.push(seen("g", step.seen));
  const told = new Set();
  for (const piece of step.pieces) {
    parts.push(element("h3", {}, `for ${piece.argument}`));
    const code = element("code", {}, piece.formula);
    const numbers = piece.seen === null ? null : withNumbers(piece, step.seen);
    if (numbers) code.append(element("span", { class: "numbers" }, `\n${numbers}`));
    parts.push(element("pre", { class: "formula" }, code));
    for (const read of piece.reads) {
      if (told.has(read.name)) continue;
      told.add(read.name);
      parts.push(seen(readText(read), read.seen));
      if (step.draws[read.name]) parts.push(paragraph(step.draws[read.name], "note"));
    }
    if (piece.seen === null) continue;
    parts.push(seen(wayText(piece), piece.seen));
    if (piece.added) parts.push(seen("the sum so far", piece.total));
  }
  parts.push(...origin(step));
  return parts;
}

/** An op that is run: its result, and what the graph keeps of it. */
function runCard(step) {
  const kept = new Map();
  for (const piece of step.pieces) for (const read of piece.reads) if (read.nbytes) kept.set(read.name, read);
  const parts = [heading(`${step.number}. ${step.op}`, step), resultOf(step)];
  if (!kept.size) parts.push(paragraph("Nothing is kept in memory for its derivative."));
  for (const read of kept.values()) {
    parts.push(seen(readText(read), read.seen));
    if (step.draws[read.name]) parts.push(paragraph(step.draws[read.name], "note"));
  }
  parts.push(...origin(step));
  return parts;
}

function leafCard(place, t) {
  const leaf = place.of;
  const parts = [heading(leaf.name, leaf), paragraph("a leaf", "note")];
  if (leaf.hooks) parts.push(paragraph(`${leaf.hooks} hook(s) will see its gradient (not run here).`, "note"));
  if (leaf.adds) parts.push(paragraph("It has a grad already: backward would add this one to it.", "note"));
  parts.push(seen("value", leaf.value));
  const g = gradientAt(place, t);
  parts.push(g === null ? paragraph("No gradient has come yet.", "note") : seen("gradient so far", g));
  for (const { at, piece, step } of place.arrived) {
    if (at <= t) parts.push(paragraph(`${piece.added ? "+" : "="} from ${step.number}. ${step.op}, for ${piece.argument}`));
  }
  return parts;
}

function placeCard(place, t) {
  if (place.leaf) return leafCard(place, t);
  return t >= place.visit ? visitCard(place.of) : runCard(place.of);
}

function groupCard(box) {
  const ops = box.members.filter((place) => !place.leaf);
  const name = groups.get(box.id).at(-1);
  const list = ops.slice(0, 50).map((place) => element("li", {}, `${place.of.number}. ${place.title}`));
  const open = element("button", { type: "button", "data-fold": box.id }, "unfold");
  return [element("h2", {}, name), open, element("ul", {}, ...list)];
}

/** What a step is about, in a sentence. */
function sentence(t) {
  if (t === 0) return N ? "before the first op" : "a leaf: its gradient is what flows in";
  if (t <= N) {
    const step = data.steps[N - t];
    return `forward ${t} of ${N}: ${step.op} ${shapeText(step.shape)}`;
  }
  const step = data.steps[t - N - 1];
  if (step.stop) return `back ${step.number} of ${N}: ${step.op}, the walk would stop here`;
  const goals = step.pieces.map((piece) => wayText(piece).split(", ").at(-1));
  return `back ${step.number} of ${N}: ${step.op}, ${goals.join("; ")}`;
}
