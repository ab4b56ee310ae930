"use strict";
// The choice among measured configurations, as harness/recommend makes it, and the page that shows it.
// The rule is above, without a page, so that a test can ask it and the program the same things.

const Wishes = (() => {
  const KLD = "kld_mean";

  function keeps(about, value, limit) {
    return about.better === "higher" ? value >= limit : value <= limit;
  }

  // On one scale, higher is better: natural logarithms; a divergence is one already.
  function utility(data, column, value) {
    if (column === KLD) return -value;
    return (data.columns[column].better === "higher" ? 1 : -1) * Math.log(value);
  }

  function practicallyEqual(data, column, value, best) {
    const { margin, absolute } = data.columns[column];
    if (absolute !== null) return value - best <= Math.max(absolute, margin * best);
    return utility(data, column, best) - utility(data, column, value) <= Math.log1p(margin);
  }

  function after(data, column, columns) {
    const names = columns.slice(0, columns.indexOf(column)).map((one) => data.columns[one].title);
    return `${names.join(" and ")} left several practically equal`;
  }

  // The sum of what counts, each by its weight.
  function weighed(data, figures, weights, columns) {
    return columns.reduce((sum, column) => sum + weights[column] * utility(data, column, figures[column]), 0);
  }

  // Place of the choice among figures, and what decided; weights: by column, or null where the order of columns decides.
  function choose(data, figures, columns, weights) {
    let left = figures.map((_, place) => place);
    if (left.length === 0) return [null, "nothing keeps the limits"];
    if (left.length === 1) return [0, "it alone keeps the limits"];
    if (columns.length === 0) return [null, "nothing that is preferred was measured"];
    if (weights !== null) {
      const score = figures.map((one) => weighed(data, one, weights, columns));
      const [first, second] = [...left].sort((a, b) => score[b] - score[a] || a - b);
      return [first, `the weighted sum: ${shortened(score[first] - score[second], 1, 3)} above the next`];
    }
    const best = (places, column) =>
      places.reduce((a, b) => (utility(data, column, figures[b][column]) > utility(data, column, figures[a][column]) ? b : a));
    for (const column of columns) {
      const top = figures[best(left, column)][column];
      const near = left.filter((place) => practicallyEqual(data, column, figures[place][column], top));
      const title = data.columns[column].title;
      if (near.length === 1) return [near[0], column === columns[0] ? title : `${title}, after ${after(data, column, columns)}`];
      left = near;
    }
    const title = data.columns[columns[0]].title;
    return [best(left, columns[0]), `nothing: ${left.length} are practically equal in everything; the best ${title} is named`];
  }

  // Rows that no other beats or equals in everything that counts, best first in what counts first.
  function frontier(data, rows, columns) {
    if (columns.length === 0) return [];
    const worth = rows.map((row) => columns.map((column) => utility(data, column, row.figures[column])));
    const beats = (a, b) => a.some((one, at) => one !== b[at]) && a.every((one, at) => one >= b[at]);
    const kept = rows.map((_, place) => place).filter((place) => !worth.some((other) => beats(other, worth[place])));
    kept.sort((a, b) => {
      const at = worth[a].findIndex((one, place) => one !== worth[b][place]);
      return at < 0 ? a - b : worth[b][at] - worth[a][at];
    });
    return kept.map((place) => rows[place]);
  }

  // A small generator of evenly spread numbers, from one number on: the same wishes give the same answer.
  function random(seed) {
    let state = seed >>> 0;
    return () => {
      state = (state + 0x6d2b79f5) >>> 0;
      let mixed = Math.imul(state ^ (state >>> 15), state | 1);
      mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
      return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
    };
  }

  function median(values) {
    const sorted = [...values].sort((a, b) => a - b);
    const middle = sorted.length >> 1;
    return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
  }

  // A figure of a repeated measurement: runs drawn anew, or normal by the 95 % interval; null where it has no spread.
  function redraw(row, column, next) {
    const runs = row.basis[column];
    if (runs) return () => median(runs.map(() => runs[Math.floor(next() * runs.length)]));
    const interval = row.intervals[column];
    if (!interval) return null;
    const value = row.figures[column];
    const error = (interval[1] - interval[0]) / (2 * 1.959964);
    return () => {
      const normal = Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next());
      return Math.max(value + error * normal, value * 1e-3);
    };
  }

  function bootstrap(data, rows, limits, needed, columns, weights) {
    const next = random(1);
    const drawers = rows.map((row) => needed.map((column) => redraw(row, column, next)));
    if (!drawers.some((each) => each.some((one) => one !== null))) return null;
    const counts = new Map();
    for (let draw = 0; draw < data.draws; draw += 1) {
      const figures = rows.map((row, place) =>
        Object.fromEntries(needed.map((column, at) => [column, drawers[place][at] ? drawers[place][at]() : row.figures[column]]))
      );
      const inside = figures
        .map((_, place) => place)
        .filter((place) => Object.entries(limits).every(([column, limit]) => keeps(data.columns[column], figures[place][column], limit)));
      const [place] = choose(data, inside.map((one) => figures[one]), columns, weights);
      const key = place === null ? null : inside[place];
      counts.set(key, (counts.get(key) ?? 0) + 1);
    }
    return counts;
  }

  function shortened(value, size, digits = 4) {
    return String(Number((value / size).toPrecision(digits)));
  }

  function greater(a, b) {
    const at = a.findIndex((one, place) => one !== b[place]);
    return at >= 0 && a[at] > b[at];
  }

  // What a row's quality rests on, by row, where that of most rows of its model rests on something else: of another text,
  // or of other positions, a divergence compares with none of theirs.
  function elsewhere(rows) {
    const counts = new Map();
    for (const { model, scored } of rows) {
      if (scored === null) continue;
      if (!counts.has(model)) counts.set(model, new Map());
      const of = counts.get(model), key = scored.join(" ");
      of.set(key, { scored, count: (of.get(key)?.count ?? 0) + 1 });
    }
    const rank = ({ scored: [text, size, positions], count }) => [count, positions, size ?? 0, text];
    const usual = new Map([...counts].map(([model, of]) =>
      [model, [...of.values()].reduce((a, b) => (greater(rank(b), rank(a)) ? b : a)).scored]));
    const told = ([, size, positions]) =>
      `${positions.toLocaleString("en-US")} positions${size === null ? "" : ` in windows of ${size}`}`;
    const found = new Map();
    for (const row of rows) {
      const most = usual.get(row.model);
      if (row.scored === null || row.scored.every((one, place) => one === most[place])) continue;
      const words = row.scored[0] === most[0] ? "" : "another text than that of most rows: ";
      found.set(row, `${words}${told(row.scored)}, of most rows ${told(most)}`);
    }
    return found;
  }

  // What a row breaks, in words; null where it keeps every limit that it has a figure for. A divergence that rests on
  // something else compares with no limit either.
  function breaks(data, row, limits, other) {
    const broken = Object.entries(limits)
      .filter(([column, limit]) => column in row.figures && !keeps(data.columns[column], row.figures[column], limit)
        && !(column === KLD && other))
      .map(([column, limit]) => {
        const { title, better, size, unit } = data.columns[column];
        const word = better === "higher" ? "below" : "above";
        return `${title} ${shortened(row.figures[column], size)} ${unit} is ${word} ${shortened(limit, size)}`;
      });
    return broken.length ? broken.join("; ") : null;
  }

  // The recommendation. wishes: {model, device, workload, machine, platform, withSuspect, limits: {column: value}, order: [column],
  // weights: {column: above 0}, or null}. Where there are weights, they decide, and the order does not.
  function recommend(data, wishes, repeated = true) {
    const { limits } = wishes;
    const weights = wishes.weights ?? null;
    const order = weights === null ? wishes.order : Object.keys(weights);
    const excluded = [];
    const unknown = [];
    const candidates = [];
    const asked = data.rows.filter((row) =>
      ["model", "device", "workload", "machine"].every((key) => !wishes[key] || row[key] === wishes[key])
      && (!wishes.platform || row.platforms.includes(wishes.platform)));
    const others = elsewhere(asked);
    for (const row of asked) {
      const why = row.never ?? (wishes.withSuspect ? null : row.suspect);
      const broken = breaks(data, row, limits, others.has(row));
      if (row.unmeasured !== null) unknown.push({ row, reason: row.unmeasured });
      else if (why !== null) excluded.push({ row, reason: why, byLimit: false });
      else if (broken !== null) excluded.push({ row, reason: broken, byLimit: true });
      else candidates.push(row);
    }
    const columns = order.filter((column) => candidates.some((row) => column in row.figures));
    const uncounted = order
      .filter((column) => !columns.includes(column))
      .map((column) => [column, candidates.length ? candidates[0].why[column] : "no row is left"]);
    const needed = [...new Set([...Object.keys(limits), ...columns])];
    const possible = [];
    for (const row of candidates) {
      const lacking = needed.filter((column) => !(column in row.figures));
      if (lacking.length) {
        unknown.push({ row, reason: lacking.map((column) => `${data.columns[column].title}: ${row.why[column]}`).join("; ") });
      } else if (others.has(row) && needed.includes(KLD)) {
        unknown.push({ row, reason: `KLD: it rests on ${others.get(row)}` });
      } else possible.push(row);
    }
    const [place, decidedBy] = choose(data, possible.map((row) => row.figures), columns, weights);
    const decided = possible.length ? decidedBy
      : candidates.length ? data.nothingKnown
      : excluded.some((one) => one.byLimit) ? decidedBy : data.nothingLeft;
    const counts = repeated ? bootstrap(data, possible, limits, needed, columns, weights) : null;
    const share = (key) => (counts.get(key) ?? 0) / data.draws;
    return {
      choice: place === null ? null : possible[place],
      decided,
      share: counts === null || place === null ? null : share(place),
      noneShare: counts === null ? null : share(null),
      close: counts === null ? [] : [...counts.keys()]
        .filter((key) => key !== null && key !== place && share(key) >= data.close)
        .sort((a, b) => share(b) - share(a) || a - b)
        .map((key) => ({ row: possible[key], share: share(key) })),
      frontier: frontier(data, possible, columns),
      possible, excluded, unknown, columns, uncounted,
    };
  }

  return { recommend };
})();

if (typeof module !== "undefined") module.exports = Wishes;

if (typeof document !== "undefined") (() => {
  const source = document.getElementById("wishes-data");
  if (source === null) return;
  const data = JSON.parse(source.textContent);
  const form = document.getElementById("wishes");
  const order = document.getElementById("wish-order");
  const firstOrder = [...order.children];
  const columns = Object.keys(data.columns);

  // -- sliders: logarithmic from the least to the greatest figure; at the loose end there is no limit

  const scales = {};
  for (const column of columns) {
    const known = data.rows.filter((row) => column in row.figures).map((row) => row.figures[column]).filter((one) => one > 0);
    const number = document.getElementById(`limit-${column}`);
    const slider = document.getElementById(`slide-${column}`);
    if (!number || !known.length) continue;
    const { better, size, unit } = data.columns[column];
    const floor = column === "kld_mean" ? 1e-5 : 0;
    const low = Math.max(Math.min(...known), floor) * 0.9;
    const high = Math.max(...known, low * 1.01) * 1.1;
    // A limit from above is loose at the right end, one from below at the left.
    const loose = better === "higher" ? 0 : 1000;
    const told = () => slider.setAttribute("aria-valuetext", number.value === "" ? "no limit" : `${number.value} ${unit}`);
    slider.value = loose;
    told();
    slider.addEventListener("input", () => {
      const share = Number(slider.value) / 1000;
      number.value = Number(slider.value) === loose ? "" : String(Number(((low * (high / low) ** share) / size).toPrecision(3)));
      told();
      answer();
    });
    number.addEventListener("input", () => {
      const value = number.valueAsNumber * size;
      const share = Math.log(Math.max(value, low) / low) / Math.log(high / low);
      slider.value = Number.isFinite(value) ? Math.round(1000 * Math.min(1, Math.max(0, share))) : loose;
      told();
      answer();
    });
    scales[column] = { number, slider, loose, told, size };
  }

  function limits() {
    const found = {};
    for (const [column, { number, size }] of Object.entries(scales)) {
      const value = number.valueAsNumber;
      if (Number.isFinite(value) && value >= 0) found[column] = value * size;
    }
    return found;
  }

  // -- the order of what counts

  order.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    const item = button.closest("li");
    if (button.dataset.move === "-1") item.previousElementSibling?.before(item);
    else item.nextElementSibling?.after(item);
    button.focus();
    answer();
  });
  // -- or their weights: of what has none nothing counts

  const weightFields = [...form.querySelectorAll("[data-weight]")];
  for (const field of weightFields) field.addEventListener("input", answer);

  function weights() {
    const given = weightFields
      .map((field) => [field.dataset.weight, field.valueAsNumber])
      .filter(([, weight]) => Number.isFinite(weight) && weight > 0);
    for (const item of order.children) item.classList.toggle("idle", given.length > 0);
    return given.length ? Object.fromEntries(given) : null;
  }

  form.addEventListener("reset", () => setTimeout(() => {
    order.append(...firstOrder);
    for (const { slider, loose, told } of Object.values(scales)) { slider.value = loose; told(); }
    answer();
  }));
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("change", (event) => { if (event.target.matches("select, [type=checkbox]")) answer(); });

  // -- the answer; every text is put in as text

  function element(name, text, ...children) {
    const made = document.createElement(name);
    if (text) made.textContent = text;
    made.append(...children);
    return made;
  }

  function named(row) {
    if (!row.href) return document.createTextNode(row.name);
    const link = element("a", row.name);
    link.href = row.href;
    return link;
  }

  const percent = (share) => `${Math.round(100 * share)} %`;

  // Rows by their reasons, each leading to its samples; of very many the first.
  const MOST_NAMED = 40;

  function grouped(title, entries) {
    const reasons = new Map();
    for (const { row, reason } of entries) reasons.set(reason, [...(reasons.get(reason) ?? []), row]);
    const items = [...reasons].map(([reason, rows]) => {
      const names = rows.slice(0, MOST_NAMED).flatMap((row, place) => [place ? "; " : " (", named(row)]);
      const more = rows.length > MOST_NAMED ? `; and ${rows.length - MOST_NAMED} more` : "";
      return element("li", reason, ...names, `${more})`);
    });
    return element("details", "", element("summary", `${title} (${entries.length})`), element("ul", "", ...items));
  }

  // A figure leads to its arithmetic and samples, as in every table of the site.
  function figure(row, column) {
    const text = row.texts[column];
    if (text === undefined || !row.href) return element("td", text ?? "–");
    const link = element("a", text);
    link.href = `${row.href}#${column}`;
    return element("td", "", link);
  }

  function table(found) {
    const shown = [...new Set([...found.columns, "decode_tps", "peak_rss_bytes", "kld_mean"])];
    const rows = found.choice === null ? found.frontier : [found.choice, ...found.frontier.filter((row) => row !== found.choice)];
    const heads = ["Configuration", ...shown.map((column) => data.columns[column].title), "Runs", "Version"].map((title) => {
      const head = element("th", title);
      head.scope = "col";
      return head;
    });
    const lines = rows.map((row) => {
      const first = element("th", "", named(row));
      first.scope = "row";
      if (row === found.choice) first.append(" (the choice)");
      const line = element("tr", "", first, ...shown.map((column) => figure(row, column)),
        element("td", String(row.runs ?? "–")), element("td", row.version ?? "–"));
      if (row === found.choice) line.className = "chosen";
      return line;
    });
    const made = element("table", "", element("caption", "Configurations within the limits that no other beats in everything that counts"),
      element("thead", "", element("tr", "", ...heads)), element("tbody", "", ...lines));
    made.className = "data";
    const wide = element("div", "", made);
    wide.className = "wide";
    wide.tabIndex = 0;
    wide.setAttribute("role", "region");
    wide.setAttribute("aria-label", "The Pareto frontier");
    return wide;
  }

  function answer() {
    const value = (id) => document.getElementById(`wish-${id}`).value;
    const found = Wishes.recommend(data, {
      model: value("model"), device: value("device"), workload: value("workload"), machine: value("machine"),
      platform: value("platform"),
      withSuspect: document.getElementById("wish-suspect").checked,
      limits: limits(),
      order: [...order.children].map((item) => item.dataset.column),
      weights: weights(),
    });
    const ship = element("p", found.choice === null ? "Nothing that was measured can be recommended." : "Ship ", ...(found.choice === null ? [] : [named(found.choice)]));
    ship.className = "ship";
    const why = [`Decided by: ${found.decided}.`];
    if (found.share !== null) why.push(`Chosen in ${percent(found.share)} of ${data.draws} repetitions drawn from the measurement's own spread.`);
    else if (found.choice !== null) why.push("How sure it is cannot be said: no figure has a spread.");
    if (found.noneShare !== null && found.noneShare >= data.close) why.push(`In ${percent(found.noneShare)} of them nothing keeps the limits.`);
    for (const [column, reason] of found.uncounted) why.push(`${data.columns[column].title} did not count: ${reason}.`);
    const workloads = new Set(found.possible.map((row) => row.workload));
    if (workloads.size > 1) why.push(`Several workloads are compared: ${[...workloads].sort().join(", ")}. Choose one above.`);
    if (new Set(found.possible.map((row) => row.machine)).size > 1) {
      why.push("Several machines are compared, each configuration with its machine's name. Choose one above.");
    }
    why.push(`${found.possible.length} configurations keep the limits; ${found.frontier.length} of them are beaten by none.`);
    document.getElementById("answer").replaceChildren(ship, element("ul", "", ...why.map((line) => element("li", line))));
    const evidence = [];
    const nowhere = data.nowhere[value("platform")];
    if (nowhere) {
      evidence.push(element("h3", "What others say (claims, not measurements)"), element("p", `${nowhere.told}.`),
        element("ul", "", ...nowhere.claims.map((claim) => element("li", claim))));
    }
    if (found.frontier.length) evidence.push(table(found));
    if (found.close.length) {
      evidence.push(element("h3", "Close"), element("ul", "", ...found.close.map(({ row, share }) => element("li", "", named(row), `: chosen in ${percent(share)}`))));
    }
    const outside = [["Unknown: nobody measured it", found.unknown], ["Beyond a limit", found.excluded.filter((one) => one.byLimit)],
      ["Not to be shipped", found.excluded.filter((one) => !one.byLimit)]];
    for (const [title, entries] of outside) if (entries.length) evidence.push(grouped(title, entries));
    document.getElementById("evidence").replaceChildren(...evidence);
  }

  answer();
})();
