// A layered layout: every edge goes down. Boxes of one layer stand side by side.

const BOX = { width: 150, height: 56, gapX: 26, gapY: 46, longest: 10 };

/** Place boxes {id, group: [..], leaf} and edges {from, to}: gives boxes x, y and edges points. */
function layout(boxes, edges) {
  const of = new Map(boxes.map((box) => [box.id, box]));
  for (const box of boxes) Object.assign(box, { above: [], below: [], width: BOX.width });
  for (const edge of edges) {
    of.get(edge.from).below.push(of.get(edge.to));
    of.get(edge.to).above.push(of.get(edge.from));
  }
  assignLayers(boxes);
  const layers = [];
  const put = (item) => (layers[item.layer] ??= []).push(item);
  boxes.forEach(put);
  const bends = addBends(edges, of, put);
  const all = [...boxes, ...bends];
  for (let i = 0; i < layers.length; i++) layers[i] ??= [];
  order(layers);
  straighten(layers);
  for (const item of all) item.y = item.layer * (BOX.height + BOX.gapY);
  for (const edge of edges) {
    const [a, b] = [of.get(edge.from), of.get(edge.to)];
    const middle = edge.bends.map((bend) => [bend.x, bend.y + BOX.height / 2]);
    edge.points = [[a.x, a.y + BOX.height], ...middle, [b.x, b.y]];
  }
  const cuts = new Map(); // by box: how many ends of cut edges it has so far
  for (const edge of edges.filter((e) => e.cut)) {
    const b = of.get(edge.to);
    const x = b.x + 34 - 42 * (cuts.get(b) ?? 0);
    cuts.set(b, (cuts.get(b) ?? 0) + 1);
    edge.points = [[x, b.y - 22], [x, b.y]];
  }
}

/** The longest way down to the result gives the layer: a box stands just above its first user. */
function assignLayers(boxes) {
  const leading = new Map(boxes.map((box) => [box, [...box.above, ...comingBefore(box)]]));
  const left = new Map(boxes.map((box) => [box, 0]));
  for (const above of leading.values()) for (const box of above) left.set(box, left.get(box) + 1);
  const ready = boxes.filter((box) => !left.get(box));
  for (const box of ready) box.height = 0;
  let most = 0;
  for (const box of ready) { // it grows while it is read
    most = Math.max(most, box.height);
    for (const next of leading.get(box)) {
      next.height = Math.max(next.height ?? 0, box.height + 1);
      left.set(next, left.get(next) - 1);
      if (left.get(next) === 0) ready.push(next);
    }
  }
  for (const box of boxes) box.layer = most - box.height;
}

/** What a group's leaf stands below: all that flows into its group, so that frames keep apart. */
function comingBefore(leaf) {
  if (!leaf.leaf || !leaf.group.length) return [];
  const outside = (box) => !box.leaf && common(box.group, leaf.group).length < leaf.group.length;
  return [...new Set(leaf.below.flatMap((user) => user.above).filter(outside))];
}

/** A long edge gets a bend in each layer that it passes, so that it runs beside boxes. A very long
 * one (a parameter that is used again and again) is cut: its end is drawn, with the name. */
function addBends(edges, of, put) {
  const bends = [];
  for (const edge of edges) {
    const [a, b] = [of.get(edge.from), of.get(edge.to)];
    edge.bends = [];
    edge.cut = b.layer - a.layer > BOX.longest;
    if (edge.cut) {
      a.below = a.below.filter((n) => n !== b);
      b.above = b.above.filter((n) => n !== a);
      continue;
    }
    let last = a;
    for (let layer = a.layer + 1; layer < b.layer; layer++) {
      const bend = { layer, width: 8, group: common(a.group, b.group), above: [last], below: [] };
      last.below = last === a ? last.below.map((n) => (n === b ? bend : n)) : [bend];
      edge.bends.push(bend);
      bends.push(bend);
      put(bend);
      last = bend;
    }
    if (last !== a) {
      last.below = [b];
      b.above = b.above.map((n) => (n === a ? last : n));
    }
  }
  return bends;
}

function common(a, b) {
  let n = 0;
  while (n < a.length && n < b.length && a[n] === b[n]) n++;
  return a.slice(0, n);
}

/** Sort each layer by the mean place of its neighbours, some times down and up. */
function order(layers) {
  for (const layer of layers) layer.forEach((item, i) => (item.place = i));
  for (let round = 0; round < 8; round++) {
    const down = round % 2 === 0;
    for (const layer of down ? layers : [...layers].reverse()) {
      const sums = new Map(); // of the groups: what belongs together stays side by side
      for (const item of layer) {
        const near = down ? item.above : item.below;
        item.pull = near.length ? mean(near.map((n) => n.place)) : item.place;
        item.keys = item.group.map((_, i) => item.group.slice(0, i + 1).join("\n"));
        for (const key of item.keys) {
          const sum = sums.get(key) ?? [0, 0];
          sums.set(key, [sum[0] + item.pull, sum[1] + 1]);
        }
      }
      const pulls = (item) => [...item.keys.map((k) => sums.get(k)[0] / sums.get(k)[1]), item.pull];
      layer.forEach((item) => (item.pulls = pulls(item)));
      layer.sort((a, b) => {
        for (let i = 0; i < Math.min(a.pulls.length, b.pulls.length); i++) {
          if (a.keys[i] !== b.keys[i] || i >= a.keys.length) return a.pulls[i] - b.pulls[i];
        }
        return 0;
      });
      layer.forEach((item, i) => (item.place = i));
    }
  }
}

/** Give each item the x nearest to the mean of its neighbours' that keeps the order and gaps. */
function straighten(layers) {
  for (const layer of layers) {
    let x = 0;
    for (const item of layer) {
      item.offset = x + item.width / 2;
      x += item.width + BOX.gapX;
    }
    for (const item of layer) item.x = item.offset - x / 2;
  }
  for (let round = 0; round < 12; round++) {
    const down = round % 2 === 0;
    for (const layer of down ? layers : [...layers].reverse()) {
      const wanted = layer.map((item) => {
        const near = round < 8 ? (down ? item.above : item.below) : [...item.above, ...item.below];
        return (near.length ? mean(near.map((n) => n.x)) : item.x) - item.offset;
      });
      rising(wanted).forEach((x, i) => (layer[i].x = x + layer[i].offset));
    }
  }
}

/** The rising sequence nearest to some numbers: neighbours that fall are averaged. */
function rising(numbers) {
  const blocks = [];
  for (const number of numbers) {
    let block = { sum: number, n: 1 };
    while (blocks.length && blocks.at(-1).sum / blocks.at(-1).n > block.sum / block.n) {
      const last = blocks.pop();
      block = { sum: block.sum + last.sum, n: block.n + last.n };
    }
    blocks.push(block);
  }
  return blocks.flatMap(({ sum, n }) => Array(n).fill(sum / n));
}

function mean(numbers) {
  return numbers.reduce((a, b) => a + b, 0) / numbers.length;
}
