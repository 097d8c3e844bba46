/** The order of the columns: what they are grouped by, outermost first. */
const LEVELS = {
  module: ["treatment", "module", "load", "stress"],
  stress: ["stress", "treatment", "module", "load"],
};

/** The heat map in an element: a row a version, a column for each of the rest. */
const heatMap = (map, open) => {
  const CELL_PX = 26; // as --cell in the style
  const LETTER_PX = 6.9;
  const NAME_PX = 7.3;
  const {
    tables,
    columns,
    total,
    unexpected,
    intermittent,
    version,
    name: nameOf,
    glyph,
    said,
  } = results;

  // Rows are versions, columns are everything else; both in the order of the results.
  const rowOf = new Int32Array(total);
  const columnOf = new Int32Array(total);
  const rows = [];
  const kinds = []; // a column: the index of its value on each level
  const rowIndex = new Map();
  const kindIndex = new Map();
  for (let i = 0; i < total; i++) {
    const row = version(i);
    if (!rowIndex.has(row)) rowIndex.set(row, rows.push(row) - 1);
    rowOf[i] = rowIndex.get(row);
    const kind = LEVELS.module.map((axis) => columns[axis][i]);
    const key = kind.join(" ");
    if (!kindIndex.has(key)) kindIndex.set(key, kinds.push(kind) - 1);
    columnOf[i] = kindIndex.get(key);
  }
  const at = new Int32Array(rows.length * kinds.length).fill(-1);
  for (let i = 0; i < total; i++) at[rowOf[i] * kinds.length + columnOf[i]] = i;

  const prototypes = new Map();
  const cellNode = (i) => {
    const outcome = i < 0 ? -1 : columns.outcome[i];
    const key = i < 0 ? i : outcome * 4 + unexpected[i] * 2 + intermittent[i];
    if (!prototypes.has(key)) {
      const node = element("div", "cell");
      node.setAttribute("role", "gridcell");
      node.tabIndex = -1;
      if (i < 0) {
        node.classList.add(i === -1 ? "none" : "hidden");
        node.setAttribute("aria-label", i === -1 ? "not run" : "not shown");
      } else {
        node.classList.add(tables.outcome[outcome]);
        if (unexpected[i]) node.classList.add("unexpected");
        if (intermittent[i]) node.classList.add("flaky");
        node.textContent = glyph(i);
        node.setAttribute("aria-label", said(i));
      }
      prototypes.set(key, node);
    }
    const node = prototypes.get(key).cloneNode(true);
    node.cellIndex = i;
    return node;
  };
  const headRow = (labels) => {
    const row = element("div", "row");
    row.setAttribute("role", "row");
    const corner = element("div", "corner", labels.corner);
    corner.setAttribute("role", "columnheader");
    row.append(corner);
    for (const { name, span, leaf } of labels.items) {
      const head = element("div", leaf ? "leaf" : "group");
      head.append(element("span", "", name));
      head.title = name;
      head.setAttribute("role", "columnheader");
      if (!leaf) {
        head.setAttribute("aria-colspan", span);
        head.style.width = `${span * CELL_PX}px`;
      }
      row.append(head);
    }
    return row;
  };

  // A level stands above its columns where its names fit there, and else in the upright names.
  // One that is the same everywhere needs no column of its own, so it goes to the top.
  const header = (shown, asked) => {
    const differs = (axis) =>
      new Set(shown.map((kind) => kinds[kind][LEVELS.module.indexOf(axis)])).size > 1;
    const levels = [...asked.filter((axis) => !differs(axis)), ...asked.filter(differs)];
    const head = element("div", "head");
    head.setAttribute("role", "rowgroup");
    const leaves = shown.map(() => []);
    const upper = [];
    levels.forEach((axis, depth) => {
      const runs = [];
      shown.forEach((kind, c) => {
        const path = levels
          .slice(0, depth + 1)
          .map((level) => kinds[kind][LEVELS.module.indexOf(level)])
          .join(" ");
        const name = tables[axis][kinds[kind][LEVELS.module.indexOf(axis)]];
        if (runs.length && runs.at(-1).path === path) runs.at(-1).span++;
        else runs.push({ name, path, span: 1, from: c });
      });
      const fits = runs.every(({ name, span }) => name.length * LETTER_PX + 10 <= span * CELL_PX);
      if (fits && depth < levels.length - 1) upper.push({ corner: axis, items: runs });
      else
        for (const { name, span, from } of runs)
          for (let c = from; c < from + span; c++) leaves[c].push(name);
    });
    for (const labels of upper) head.append(headRow(labels));
    const rest = levels.filter((axis) => !upper.some((labels) => labels.corner === axis));
    head.append(
      headRow({
        corner: rest.join(" · "),
        items: leaves.map((names) => ({ name: names.join(" · "), leaf: true })),
      }),
    );
    return head;
  };

  let focus = [0, 0];
  let shownRows = [];
  let width = 0;
  // A row gets its cells when it comes near what is seen.
  const watcher = new IntersectionObserver(
    (entries) => {
      for (const { isIntersecting, target } of entries) if (isIntersecting) target.fill?.();
    },
    { root: map, rootMargin: "260px 0px" },
  );
  const draw = (found, by) => {
    const present = new Uint8Array(total);
    const usedRow = new Uint8Array(rows.length);
    const usedKind = new Uint8Array(kinds.length);
    for (const i of found) present[i] = usedRow[rowOf[i]] = usedKind[columnOf[i]] = 1;
    const levels = LEVELS[by];
    const order = levels.map((axis) => LEVELS.module.indexOf(axis));
    const shown = [...kinds.keys()].filter((kind) => usedKind[kind]);
    shown.sort((a, b) => {
      for (const level of order)
        if (kinds[a][level] !== kinds[b][level]) return kinds[a][level] - kinds[b][level];
      return 0;
    });
    const body = element("div", "body");
    body.setAttribute("role", "rowgroup");
    shownRows = [];
    let longest = "treatment".length;
    for (let r = 0; r < rows.length; r++) {
      if (!usedRow[r]) continue;
      const row = element("div", "row");
      row.setAttribute("role", "row");
      const name = element("div", "name", rows[r]);
      name.setAttribute("role", "rowheader");
      name.title = rows[r];
      longest = Math.max(longest, rows[r].length);
      row.append(name);
      row.fill = () => {
        delete row.fill;
        row.append(
          ...shown.map((kind) => {
            const i = at[r * kinds.length + kind];
            return cellNode(i >= 0 && !present[i] ? -2 : i);
          }),
        );
      };
      shownRows.push(row);
    }
    width = shown.length;
    body.append(...shownRows);
    watcher.disconnect();
    for (const row of shownRows) watcher.observe(row);
    map.replaceChildren(
      ...(found.length
        ? [header(shown, levels), body]
        : [element("p", "empty", "No cell matches these filters.")]),
    );
    focus = [0, 0];
    const first = cellAt(0, 0);
    if (first) first.tabIndex = 0;
    map.scrollTop = 0;
    map.style.setProperty("--columns", shown.length);
    // A canary's date is what tells it from its neighbours.
    map.style.setProperty("--name", `min(${Math.ceil(longest * NAME_PX) + 16}px, 45vw)`);
  };

  const cellAt = (row, column) => {
    shownRows[row]?.fill?.();
    return shownRows[row]?.children[column + 1];
  };
  const moveTo = (row, column) => {
    const to = [
      Math.max(0, Math.min(shownRows.length - 1, row)),
      Math.max(0, Math.min(width - 1, column)),
    ];
    const next = cellAt(...to);
    if (!next) return;
    cellAt(...focus).tabIndex = -1;
    focus = to;
    next.tabIndex = 0;
    // The place is said once somebody is there: on every cell it would double the map.
    const place =
      next.cellIndex < 0 ? next.parentNode.firstChild.textContent : nameOf(next.cellIndex);
    const end =
      next.cellIndex >= 0
        ? said(next.cellIndex)
        : next.classList.contains("none")
          ? "not run"
          : "not shown";
    next.setAttribute("aria-label", `${place}: ${end}`);
    map.style.scrollPaddingTop = `${map.firstElementChild.offsetHeight}px`;
    next.focus();
  };

  map.addEventListener("keydown", (event) => {
    const [row, column] = focus;
    const moves = {
      ArrowUp: [row - 1, column],
      ArrowDown: [row + 1, column],
      ArrowLeft: [row, column - 1],
      ArrowRight: [row, column + 1],
      PageUp: [row - 10, column],
      PageDown: [row + 10, column],
      Home: [event.ctrlKey ? 0 : row, 0],
      End: [event.ctrlKey ? Infinity : row, Infinity],
    };
    if (!event.target.classList.contains("cell") || event.altKey || event.metaKey) return;
    if (event.key in moves) moveTo(...moves[event.key]);
    else if (event.key === "Enter" || event.key === " ") open(event.target.cellIndex);
    else return;
    event.preventDefault();
  });
  map.addEventListener("click", (event) => {
    const cell = event.target.closest(".cell");
    if (!cell) return;
    moveTo(shownRows.indexOf(cell.parentNode), [...cell.parentNode.children].indexOf(cell) - 1);
    open(cell.cellIndex);
  });
  map.addEventListener("mouseover", (event) => {
    const cell = event.target.closest(".cell");
    if (cell && cell.cellIndex >= 0 && !cell.title)
      cell.title = `${nameOf(cell.cellIndex)}: ${said(cell.cellIndex)}`;
  });

  return { draw, refocus: () => moveTo(...focus) };
};
