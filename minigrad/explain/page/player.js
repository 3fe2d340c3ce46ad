// The player: one number, the step t, and all that is shown follows from it.

let t = 0;
let chosen = null; // the id of a box that was chosen instead of the step
let timer = null;
let found = new Set();

function boxOfStep() {
  if (t === 0 || !N) return boxes.get(shownAs(places.get(N ? `op${N}` : "leaf0")));
  const number = t <= N ? N - t + 1 : t - N;
  return boxes.get(shownAs(places.get(`op${number}`)));
}

/** Go to a step, and show it. */
function go(to, quiet) {
  t = Math.max(0, Math.min(END, to));
  if (t === END) pause();
  if (!quiet) chosen = null;
  update();
  const box = boxOfStep();
  if (box && !quiet) reveal(box);
}

function update() {
  const now = t > 0 ? boxOfStep() : null;
  for (const box of boxes.values()) {
    const classes = classesOf(box, now);
    if (classes !== box.classes) box.made.setAttribute("class", (box.classes = classes));
    const line = lineOf(box);
    if (line !== box.line.textContent) box.line.textContent = line;
    const tab = box === (boxes.get(chosen) ?? boxOfStep()) ? "0" : "-1";
    if (box.made.getAttribute("tabindex") !== tab) box.made.setAttribute("tabindex", tab);
  }
  for (const edge of drawnEdges) {
    const classes = edgeClasses(edge, now);
    if (classes !== edge.classes) edge.made.setAttribute("class", (edge.classes = classes));
  }
  $("slider").value = t;
  $("slider").setAttribute("aria-valuetext", sentence(t));
  $("where").textContent = t <= N ? `forward ${t}/${N}` : `back ${t - N}/${N}`;
  if (!timer || $("speed").value <= 1) $("live").textContent = sentence(t);
  const kept = t ? data.curve[t - 1] : 0;
  $("memory").textContent = `kept now: ${bytesText(kept)}; at most ${bytesText(Math.max(0, ...data.curve))}`;
  $("curve").querySelector(".now")?.setAttribute("transform", `translate(${t} 0)`);
  showCard();
}

function classesOf(box, now) {
  const ops = box.members.filter((place) => !place.leaf);
  const names = ["node"];
  if (box.leaf) names.push("leaf");
  if (ops.length && ops.every((place) => t < place.made)) names.push("future");
  if (ops.some((place) => place.keeps && t >= place.made && t < place.visit)) names.push("keeping");
  const passed = ops.length ? ops.every((place) => t >= place.visit) : gradientAt(box.members[0], t) !== null;
  if (passed) names.push("passed");
  if (box === now) names.push("now", ...(t <= N ? ["forwards"] : []));
  if (box.id === chosen) names.push("chosen");
  if (box.members.some((place) => found.has(place.id))) names.push("hit");
  return names.join(" ");
}

/** The last line in a box: the gradient of one number, or its memory. */
function lineOf(box) {
  if (box.members.length > 1) return "";
  const [place] = box.members;
  const g = gradientAt(place, t);
  if (g !== null && typeof g === "object") {
    const single = g.rows?.length === 1 && g.rows[0].length === 1;
    return single ? `g = ${numberText(g.rows[0][0])}` : `g ${shapeText(g.shape)}`;
  }
  return "";
}

function edgeClasses(edge, now) {
  const times = edge.pieces.map(({ step }) => N + step.number);
  if (t > N && times.includes(t) && !edge.pieces[0].step.stop) return "edge flow";
  if (t <= N && now && edge.to === now.id) return "edge feed";
  return times.every((at) => t > at) ? "edge sent" : "edge";
}

function showCard() {
  let parts;
  if (chosen && boxes.has(chosen)) {
    const box = boxes.get(chosen);
    parts = chosen.startsWith("group:") ? groupCard(box) : placeCard(box.members[0], t);
  } else if (t === 0) {
    parts = N ? [element("h2", {}, "Press play"), paragraph(
      `${N} ops run forward, then the walk goes back through them, the newest first. ` +
      "Each step shows the formula of the table with its values.")] : leafCard(places.get("leaf0"), t);
  } else {
    parts = t <= N ? runCard(data.steps[N - t]) : visitCard(data.steps[t - N - 1]);
  }
  $("card").replaceChildren(...parts);
}

// ------------------------------------------------------------------ playing

function play() {
  if (timer) return pause();
  if (t === END) go(0);
  const tick = () => {
    go(t + 1);
    if (t < END) timer = setTimeout(tick, 1200 / $("speed").value);
  };
  timer = setTimeout(tick, 200);
  $("play").classList.add("playing");
  $("play").setAttribute("aria-label", "Pause");
}

function pause() {
  clearTimeout(timer);
  timer = null;
  $("play").classList.remove("playing");
  $("play").setAttribute("aria-label", "Play");
}

function choose(id) {
  chosen = id;
  update();
}

function fold(key) {
  if (key === "all") {
    const any = folded.size;
    folded.clear();
    const paths = [...groups.values()];
    const depth = paths.filter((path) => path.length === 1).length === 1 && paths.length > 1 ? 2 : 1;
    for (const [name, path] of any ? [] : groups) if (path.length === depth) folded.add(name);
  } else if (!folded.delete(key)) {
    folded.add(key);
  }
  $("fold").textContent = folded.size ? "unfold all" : "fold all";
  chosen = null;
  draw();
  update();
  fitAll(boxOfStep());
}

function search() {
  const wanted = $("search").value.trim().toLowerCase();
  found = new Set();
  for (const place of wanted ? places.values() : []) {
    const { of } = place;
    const words = [place.title, shapeText(of.shape), of.dtype, of.where ?? "", ...place.group,
      ...(of.pieces ?? []).map((piece) => piece.formula)];
    if (words.join("\n").toLowerCase().includes(wanted)) found.add(place.id);
  }
  $("hits").textContent = wanted ? `${found.size} found` : "";
  update();
}

/** Go to the next of what was found. */
function nextHit() {
  const ids = [...boxes.values()].filter((box) => box.members.some((p) => found.has(p.id)));
  if (!ids.length) return;
  const box = ids[(ids.findIndex((b) => b.id === chosen) + 1) % ids.length];
  choose(box.id);
  reveal(box, true);
}

// ------------------------------------------------------------------ keys and pointers

function walkEdges(box, key) {
  const ends = key === "ArrowUp" ? ["to", "from"] : ["from", "to"];
  const edge = drawnEdges.find((e) => e[ends[0]] === box.id);
  if (!edge) return;
  const next = boxes.get(edge[ends[1]]);
  choose(next.id);
  reveal(next);
  next.made.focus();
}

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const { key, target } = event;
  if (key === "Escape") {
    $("search").value = "";
    search();
    choose(null);
    if (target.id === "search") target.blur();
    return;
  }
  if (target.id === "search") {
    if (key === "Enter") nextHit();
    return;
  }
  if (target.id === "speed" || (target.tagName === "SUMMARY" && key === " ")) return;
  const box = boxes.get(target.dataset?.id);
  const press = key === "Enter" || key === " ";
  if (press && target.dataset?.fold) {
    fold(target.dataset.fold);
  } else if (key === "Enter" && box) {
    choose(box.id);
  } else if (box && (key === "ArrowUp" || key === "ArrowDown")) {
    walkEdges(box, key);
  } else if (key === " " && target.tagName !== "BUTTON") {
    play();
  } else if (keys[key]) {
    keys[key]();
  } else {
    return;
  }
  event.preventDefault();
}

function changeSpeed(by) {
  const select = $("speed");
  select.selectedIndex = Math.max(0, Math.min(select.options.length - 1, select.selectedIndex + by));
}

const step = (by) => {
  pause();
  go(t + by);
};
const keys = {
  ArrowRight: () => step(1), ArrowLeft: () => step(-1), Home: () => step(-t), End: () => step(END),
  "+": () => changeSpeed(1), "-": () => changeSpeed(-1), "0": () => fitAll(), "/": () => $("search").focus(),
};

function tip(event) {
  const box = boxes.get(event.target.closest?.(".node")?.dataset.id);
  if (!box || box.members.length > 1 || event.pointerType === "touch") return ($("tip").hidden = true);
  const { of, leaf } = box.members[0];
  const kept = new Map((of.pieces ?? []).flatMap((p) => p.reads).filter((r) => r.nbytes).map((r) => [r.name, r]));
  $("tip").replaceChildren(
    element("b", {}, box.members[0].title), ` ${shapeText(of.shape)} ${of.dtype}`,
    ...[...kept.values()].map((read) => element("div", {}, readText(read))),
    of.where ? element("div", {}, of.where) : "",
    of.value === null ? "" : seen(leaf ? "value" : "y", of.value),
  );
  const stage = $("stage").getBoundingClientRect();
  const [x, y] = [event.clientX - stage.left, event.clientY - stage.top];
  $("tip").hidden = false;
  $("tip").style.left = `${Math.max(4, Math.min(x + 14, stage.width - $("tip").offsetWidth - 8))}px`;
  $("tip").style.top = `${Math.max(4, Math.min(y + 14, stage.height - $("tip").offsetHeight - 8))}px`;
  return undefined;
}

function drawCurve() {
  const most = Math.max(1, ...data.curve);
  const points = [0, ...data.curve].map((n, i) => `${i} ${40 - (36 * n) / most}`);
  const steps = points.map((p, i) => (i ? `H ${i} V ${p.split(" ")[1]}` : `M 0 40 V ${p.split(" ")[1]}`)).join(" ");
  const svg = $("curve");
  svg.setAttribute("viewBox", `0 0 ${Math.max(1, 2 * N)} 42`);
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("aria-label", `Memory kept over the steps: it rises to ${bytesText(most)} and falls as the walk frees it`);
  svg.append(
    shape("path", { class: "area", d: `${steps} V 40 Z` }), shape("path", { class: "edge", d: steps }),
    shape("path", { class: "turn", d: `M ${N} 0 V 42` }), shape("path", { class: "now", d: "M 0 0 V 42" }),
  );
}

function setTheme(name) {
  document.documentElement.dataset.theme = name;
}

function start() {
  $("root").textContent = `from ${data.root}`;
  $("slider").max = END;
  $("fold").hidden = !groups.size;
  setTheme(matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
  draw();
  drawCurve();
  letMove($("graph"));
  fitAll(boxOfStep());
  update();
  $("theme").onclick = () => setTheme(document.documentElement.dataset.theme === "dark" ? "light" : "dark");
  $("first").onclick = keys.Home;
  $("last").onclick = keys.End;
  $("next").onclick = keys.ArrowRight;
  $("back").onclick = keys.ArrowLeft;
  $("play").onclick = play;
  $("fit").onclick = () => fitAll();
  $("fold").onclick = () => fold("all");
  $("zoom-in").onclick = () => zoom(1.3);
  $("zoom-out").onclick = () => zoom(1 / 1.3);
  $("search").oninput = search;
  $("slider").oninput = () => {
    pause();
    go(Number($("slider").value));
  };
  document.addEventListener("keydown", onKey);
  document.addEventListener("click", (event) => {
    const handle = event.target.closest?.("[data-fold]");
    if (handle) return fold(handle.dataset.fold);
    const node = event.target.closest?.(".node");
    return node ? choose(node.dataset.id) : undefined;
  });
  $("graph").addEventListener("pointermove", tip);
  $("graph").addEventListener("pointerleave", () => ($("tip").hidden = true));
  matchMedia("(prefers-color-scheme: dark)").onchange = (event) => setTheme(event.matches ? "dark" : "light");
}

start();
