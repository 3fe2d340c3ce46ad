// The graph as it is drawn: boxes, edges, groups that fold; moving about in it.

const data = JSON.parse(document.getElementById("data").textContent);
const N = data.steps.length;
const stopped = data.steps.find((step) => step.stop);
const END = N + (stopped ? stopped.number : N); // forward 1 to N, then back to END
const $ = (id) => document.getElementById(id);

/** Everything that is drawn, by id: ops and leaves, with what comes to them and when. */
const places = new Map();
const idOf = (target) => (typeof target === "number" ? `op${target}` : leafIds.get(target));
const leafIds = new Map(data.leaves.map((leaf, i) => [leaf.name, `leaf${i}`]));

data.leaves.forEach((leaf, i) => places.set(`leaf${i}`, {
  id: `leaf${i}`, leaf: true, of: leaf, title: leaf.name, arrived: [], users: [], sources: [],
}));
for (const step of data.steps) {
  const keeps = new Set();
  for (const piece of step.pieces) {
    for (const read of piece.reads) if (read.nbytes && !read.own) keeps.add(read.name);
  }
  places.set(`op${step.number}`, {
    id: `op${step.number}`, leaf: false, of: step, title: step.op, keeps: keeps.size > 0, arrived: [],
    users: [], sources: [], made: N - step.number + 1, visit: N + step.number, group: step.calls,
  });
}
for (const step of data.steps) {
  for (const piece of step.pieces) {
    const target = places.get(idOf(piece.target));
    target.arrived.push({ at: N + step.number, piece, step });
    if (!target.users.includes(`op${step.number}`)) target.users.push(`op${step.number}`);
    const own = places.get(`op${step.number}`).sources;
    if (!own.includes(target.id)) own.push(target.id);
  }
}
for (const place of places.values()) {
  if (place.leaf) {
    const around = place.users.map((id) => places.get(id).group);
    place.group = around.length ? around.reduce(common) : [];
  }
}

/** The gradient that has come to a place until step t: the pieces so far, added up. */
function gradientAt(place, t) {
  let last = null;
  for (const { at, piece } of place.arrived) if (at <= t) last = piece.added ? piece.total : piece.seen;
  if (place.id === "op1" && t >= N) return place.of.seen;
  return N === 0 ? place.of.grad : last;
}

// ------------------------------------------------------------------ folding

const folded = new Set();
const groupKey = (path) => `group:${path.join("\n")}`;
const groups = new Map(); // by key: the path
for (const place of places.values()) {
  place.group.forEach((_, i) => {
    const path = place.group.slice(0, i + 1);
    groups.set(groupKey(path), path);
  });
}

/** The id under which a place is drawn: its own, or that of the outermost folded group. */
function shownAs(place) {
  for (let i = 1; i <= place.group.length; i++) {
    const key = groupKey(place.group.slice(0, i));
    if (folded.has(key)) return key;
  }
  return place.id;
}

BOX.gapY = Math.max(46, 10 + 22 * Math.max(0, ...[...groups.values()].map((path) => path.length)));

// ------------------------------------------------------------------ drawing

let boxes = new Map(); // by id, what is drawn: {id, members, group, x, y, made: the SVG element}
let drawnEdges = [];

function draw() {
  boxes = new Map();
  for (const place of [...places.values()].reverse()) { // the oldest first
    const id = shownAs(place);
    const group = id === place.id ? place.group : groups.get(id).slice(0, -1);
    if (!boxes.has(id)) boxes.set(id, { id, members: [], group, leaf: id === place.id && place.leaf });
    boxes.get(id).members.push(place);
  }
  const edges = new Map();
  for (const step of data.steps) {
    for (const piece of step.pieces) {
      const [from, to] = [shownAs(places.get(idOf(piece.target))), shownAs(places.get(`op${step.number}`))];
      if (from === to) continue;
      const key = `${from}>${to}`;
      if (!edges.has(key)) edges.set(key, { from, to, pieces: [] });
      edges.get(key).pieces.push({ piece, step });
    }
  }
  drawnEdges = [...edges.values()];
  layout([...boxes.values()], drawnEdges);
  drawnEdges.forEach(drawEdge);
  boxes.forEach(drawBox);
  const layers = [shape("g", {}, ...groupBoxes()), shape("g"), shape("g")];
  $("graph").replaceChildren(shape("g", {}, ...layers));
  look();
}

function drawBox(box) {
  const { width, height } = BOX;
  const only = box.members.length === 1 && box.id === box.members[0].id ? box.members[0] : null;
  const title = only ? only.title : box.id.slice(6).split("\n").at(-1);
  const ops = box.members.filter((place) => !place.leaf).length;
  const many = ops === 1 ? "1 op" : `${ops} ops`;
  const small = only ? shapeText(only.of.shape) : `${many}, folded`;
  const children = [
    shape("rect", { class: "box", width, height, rx: box.leaf ? 0 : 9 }),
    box.leaf ? shape("rect", { class: "side", width: 5, height }) : null,
    only ? null : shape("rect", { class: "box", x: 4, y: 4, width: width - 8, height: height - 8, rx: 6 }),
    shape("text", { class: "name", x: width / 2, y: 19 }, fit(title, 19)),
    shape("text", { class: "small", x: width / 2, y: 33 }, fit(small, 22)),
    (box.line = shape("text", { class: "small", x: width / 2, y: 47 })),
    shape("rect", { class: "keeps", x: 10, y: height - 4, width: width - 20, height: 4 }),
    shape(
      "g", { class: "tick", transform: `translate(${width - 4} 4)` },
      shape("circle", { r: 8 }), shape("path", { d: "M -4 0 l 3 4 l 5 -7" }),
    ),
  ];
  const label = only
    ? `${only.leaf ? "leaf" : "op"} ${title}, shape ${shapeText(only.of.shape)}`
    : `${title}, ${many}, folded`;
  box.made = shape("g", {
    class: "node", transform: `translate(${box.x - width / 2} ${box.y})`, role: "button",
    tabindex: -1, "aria-label": label, "data-id": box.id,
  }, ...children);
  box.classes = "";
}

function drawEdge(edge) {
  let d = `M ${edge.points[0]}`;
  for (let i = 1; i < edge.points.length; i++) {
    const [[a, b], [x, y]] = [edge.points[i - 1], edge.points[i]];
    d += ` C ${a} ${(b + y) / 2}, ${x} ${(b + y) / 2}, ${x} ${y}`;
  }
  const [x, y] = edge.points.at(-1);
  const many = edge.pieces.length > 1
    ? shape("text", { x: x + 6, y: y - 6 }, `×${edge.pieces.length}`) : null;
  const source = boxes.get(edge.from).members[0].title;
  const cut = edge.cut
    ? shape("text", { x, y: y - 26, "text-anchor": "middle" }, fit(source, 7)) : null;
  edge.made = shape("g", { class: "edge" }, shape("path", { d }), many, cut);
  edge.classes = "edge";
  const [xs, ys] = [edge.points.map((p) => p[0]), edge.points.map((p) => p[1])];
  edge.extent = [Math.min(...xs) - 20, Math.min(...ys) - 40, Math.max(...xs) + 20, Math.max(...ys)];
}

/** A frame with a handle around each group that is not folded; frames hold the frames inside. */
function groupBoxes() {
  const frames = new Map();
  const hold = (path, [x, y, right, bottom]) => {
    const f = frames.get(groupKey(path)) ?? [Infinity, Infinity, -Infinity, -Infinity];
    frames.set(groupKey(path), [
      Math.min(f[0], x - 8), Math.min(f[1], y - 17), Math.max(f[2], right + 8), Math.max(f[3], bottom + 8),
    ]);
  };
  for (const { group, x, y } of boxes.values()) {
    if (group.length) hold(group, [x - BOX.width / 2, y, x + BOX.width / 2, y + BOX.height]);
  }
  for (const [key, path] of [...groups].sort((a, b) => b[1].length - a[1].length)) { // innermost first
    if (path.length > 1 && frames.has(key)) hold(path.slice(0, -1), frames.get(key));
  }
  const drawn = [];
  for (const [key, [x, y, right, bottom]] of frames) {
    const name = groups.get(key).at(-1);
    const label = `⊟ ${fit(name, 34)}`;
    const handle = shape(
      "g", { class: "handle", role: "button", tabindex: 0, "aria-expanded": "true", "aria-label": `Fold ${name}`, "data-fold": key },
      shape("rect", { x: x + 6, y: y - 9, width: label.length * 7 + 6, height: 18 }),
      shape("text", { x: x + 9, y: y + 4 }, label),
    );
    const frame = shape("rect", { x, y, width: right - x, height: bottom - y, rx: 8 });
    drawn.push(shape("g", { class: "group" }, frame, handle));
  }
  return drawn;
}

function fit(text, most) {
  return text.length > most ? `${text.slice(0, most - 1)}…` : text;
}

// ------------------------------------------------------------------ moving about

const view = { x: 0, y: 0, scale: 1 };

function look() {
  const world = $("graph").firstChild;
  if (!world) return;
  world.setAttribute("transform", `translate(${view.x} ${view.y}) scale(${view.scale})`);
  $("graph").classList.toggle("far", view.scale < 0.3); // too small to be read
  const stage = $("stage").getBoundingClientRect();
  const sight = [-view.x, -view.y, stage.width - view.x, stage.height - view.y];
  const [left, top, right, bottom] = sight.map((n) => n / view.scale);
  const [, edges, nodes] = world.children;
  const show = (thing, layer, a, b, c, d) => { // only what is in sight is in the document
    const inSight = c >= left && a <= right && d >= top && b <= bottom;
    if (inSight === thing.inSight) return;
    if (inSight) layer.append(thing.made);
    else thing.made.remove();
    thing.inSight = inSight;
  };
  const half = BOX.width / 2 + 10;
  for (const b of boxes.values()) {
    show(b, nodes, b.x - half, b.y - 10, b.x + half, b.y + BOX.height + 10);
  }
  for (const edge of drawnEdges) show(edge, edges, ...edge.extent);
}

/** Show the whole graph; of one that would be too small to read, the part around a box. */
function fitAll(around) {
  const stage = $("stage").getBoundingClientRect();
  const [left, top, right, bottom] = extent();
  const whole = Math.min(stage.width / (right - left), stage.height / (bottom - top), 1.25);
  view.scale = around ? Math.max(whole, 0.6) : whole;
  view.x = stage.width / 2 - ((left + right) / 2) * view.scale;
  view.y = stage.height / 2 - ((top + bottom) / 2) * view.scale;
  look();
  if (around && view.scale > whole) reveal(around, true);
}

/** Where the drawing begins and ends, with the frames around it. */
function extent() {
  const all = [...boxes.values()];
  const xs = all.map((box) => box.x);
  const side = BOX.width / 2 + BOX.gapY / 2;
  const low = Math.max(...all.map((box) => box.y)) + BOX.height;
  return [Math.min(...xs) - side, -BOX.gapY, Math.max(...xs) + side, low + BOX.gapY / 2];
}

/** A shift that shows no more emptiness than it has to. */
function within(shift, size, low, high) {
  if ((high - low) * view.scale <= size) return size / 2 - ((low + high) / 2) * view.scale;
  return Math.min(-low * view.scale, Math.max(size - high * view.scale, shift));
}

/** Move a box into sight. */
function reveal(box, centre) {
  const stage = $("stage").getBoundingClientRect();
  const [x, y] = [box.x * view.scale + view.x, (box.y + BOX.height / 2) * view.scale + view.y];
  const [mx, my] = [Math.min(110, stage.width / 3), Math.min(80, stage.height / 3)];
  if (!centre && x > mx && x < stage.width - mx && y > my && y < stage.height - my) return;
  const [left, top, right, bottom] = extent();
  view.x = within(view.x + stage.width / 2 - x, stage.width, left, right);
  view.y = within(view.y + stage.height / 2 - y, stage.height, top, bottom);
  look();
}

function zoom(factor, x, y) {
  const stage = $("stage").getBoundingClientRect();
  [x, y] = [x ?? stage.width / 2, y ?? stage.height / 2];
  const scale = Math.min(4, Math.max(0.02, view.scale * factor));
  view.x = x - ((x - view.x) * scale) / view.scale;
  view.y = y - ((y - view.y) * scale) / view.scale;
  view.scale = scale;
  look();
}

/** Drag to move, wheel or two fingers to zoom; a press that does not move is a click. */
function letMove(stage) {
  const fingers = new Map();
  let moved = 0;
  stage.addEventListener("pointerdown", (event) => {
    fingers.set(event.pointerId, [event.clientX, event.clientY]);
    moved = 0;
  });
  stage.addEventListener("pointermove", (event) => {
    const before = fingers.get(event.pointerId);
    if (!before) return;
    const now = [event.clientX, event.clientY];
    const others = [...fingers].filter(([id]) => id !== event.pointerId).map(([, at]) => at);
    if (others.length) {
      const far = (a, b) => Math.hypot(a[0] - b[0], a[1] - b[1]);
      const box = stage.getBoundingClientRect();
      zoom(far(now, others[0]) / Math.max(1, far(before, others[0])), others[0][0] - box.left, others[0][1] - box.top);
    } else {
      view.x += now[0] - before[0];
      view.y += now[1] - before[1];
      look();
    }
    moved += Math.abs(now[0] - before[0]) + Math.abs(now[1] - before[1]);
    fingers.set(event.pointerId, now);
  });
  for (const name of ["pointerup", "pointercancel", "pointerleave"]) {
    stage.addEventListener(name, (event) => fingers.delete(event.pointerId));
  }
  stage.addEventListener("wheel", (event) => {
    event.preventDefault();
    const box = stage.getBoundingClientRect();
    zoom(Math.exp(-event.deltaY / 500), event.clientX - box.left, event.clientY - box.top);
  }, { passive: false });
  stage.addEventListener("click", (event) => {
    if (moved > 6) event.stopPropagation();
  }, true);
}
