(() => {
  const $ = (id) => document.getElementById(id);
  const {
    tables,
    columns,
    numbers,
    total,
    unexpected,
    intermittent,
    value,
    name: nameOf,
    said,
    text,
  } = results;
  const AXES = ["platform", "runtime", "treatment", "module", "load", "stress", "outcome"];
  const PASS = tables.outcome.indexOf("pass");
  const SKIP = tables.outcome.indexOf("skip");
  const LIST_STEP = 50;

  // What is shown. An empty set means all of an axis.
  const state = { sets: {}, unexpected: false, intermittent: false, q: "", by: "module", cell: "" };
  const clear = () => {
    for (const axis of AXES) state.sets[axis] = new Set();
    Object.assign(state, { unexpected: false, intermittent: false, q: "", by: "module", cell: "" });
  };

  const fromHash = () => {
    clear();
    for (const pair of location.hash.slice(1).split("&")) {
      const [name, raw = ""] = pair.split("=");
      let words;
      try {
        words = raw.split(",").map(decodeURIComponent);
      } catch {
        continue; // Somebody cut the address in the middle of an escape.
      }
      if (AXES.includes(name)) {
        state.sets[name] = new Set(words.map((w) => tables[name].indexOf(w)).filter((w) => w >= 0));
      } else if (name === "unexpected" || name === "intermittent") state[name] = raw === "1";
      else if (name === "q" || name === "cell") state[name] = words.join(",");
      else if (name === "by" && Object.hasOwn(LEVELS, raw)) state.by = raw;
    }
  };

  const toHash = () => {
    const pairs = [];
    for (const axis of AXES) {
      const chosen = [...state.sets[axis]].map((v) => encodeURIComponent(tables[axis][v]));
      if (chosen.length) pairs.push(`${axis}=${chosen.join(",")}`);
    }
    if (state.unexpected) pairs.push("unexpected=1");
    if (state.intermittent) pairs.push("intermittent=1");
    if (state.q) pairs.push(`q=${encodeURIComponent(state.q)}`);
    if (state.by !== "module") pairs.push(`by=${state.by}`);
    if (state.cell) pairs.push(`cell=${encodeURIComponent(state.cell)}`);
    history.replaceState(
      null,
      "",
      pairs.length ? `#${pairs.join("&")}` : location.pathname + location.search,
    );
  };

  const matching = () => {
    const allowed = AXES.filter((axis) => state.sets[axis].size).map((axis) => [
      columns[axis],
      state.sets[axis],
    ]);
    const words = state.q.toLowerCase().split(/\s+/).filter(Boolean);
    const found = [];
    for (let i = 0; i < total; i++) {
      if (state.unexpected && !unexpected[i]) continue;
      if (state.intermittent && !intermittent[i]) continue;
      if (!allowed.every(([column, set]) => set.has(column[i]))) continue;
      if (words.length && !words.every((word) => results.searched(i).includes(word))) continue;
      found.push(i);
    }
    return found;
  };

  // The list below the map, for those who would rather read.
  let listed = [];
  const extend = () => {
    const from = $("list").children.length;
    for (const i of listed.slice(from, from + LIST_STEP)) {
      const button = element("button");
      button.type = "button";
      button.cellIndex = i;
      button.append(markOf(i), element("b", "", said(i)), element("span", "", nameOf(i)));
      const item = element("li");
      item.append(button);
      $("list").append(item);
    }
    const left = listed.length - $("list").children.length;
    $("more").hidden = left <= 0;
    $("more").textContent = `Show ${Math.min(left, LIST_STEP)} more of ${left}`;
  };
  $("more").addEventListener("click", extend);
  $("list").addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button) open(button.cellIndex);
  });

  differenceTable((i) => open(i));
  const map = heatMap($("map"), (i) => open(i));
  const refresh = () => {
    const found = matching();
    map.draw(found, state.by);
    listed = found.filter(
      (i) => unexpected[i] || (columns.outcome[i] !== PASS && columns.outcome[i] !== SKIP),
    );
    listed.sort(
      (a, b) => unexpected[b] - unexpected[a] || columns.outcome[a] - columns.outcome[b] || a - b,
    );
    $("list").replaceChildren();
    extend();
    const surprises = found.filter((i) => unexpected[i]).length;
    $("status").textContent =
      `${found.length} of ${total} cells shown, ${listed.length} in the list below, ${surprises} unexpected.`;
  };

  // Details.
  const dialog = $("detail");
  const fact = (name, ...nodes) => {
    if (!nodes.some((node) => node && (node.textContent ?? node))) return;
    const body = element("dd");
    body.append(...nodes);
    $("facts").append(element("dt", "", name), body);
  };
  const open = (i) => {
    if (i < 0 || i === undefined) return;
    $("detail-title").textContent = nameOf(i);
    $("facts").replaceChildren();
    fact("outcome", markOf(i), ` ${said(i)}`);
    fact("kind", value("kind", i));
    fact("cause", text("detail", i));
    fact("expected", value("expected", i));
    fact("why", value("why", i));
    fact("attempts", `${numbers.attempts[i]}`, value("outcomes", i) && `: ${value("outcomes", i)}`);
    fact("ended by", value("ended", i));
    fact("module", value("loaded", i));
    fact(
      "took",
      `${numbers.wall[i]} ms, ${numbers.cpu[i]} ms of CPU, ${(numbers.rss[i] / 1024).toFixed(1)} MiB`,
    );
    const evidence = text("evidence", i)
      .split("\n")
      .filter(Boolean)
      .map((path) => {
        const link = element("a", "", path.split("/").at(-1));
        link.title = path;
        link.href = `./${path.split("/").map(encodeURIComponent).join("/")}`;
        return link;
      });
    fact("evidence", ...evidence);
    $("repro").textContent = text("repro", i);
    $("copied").textContent = "";
    state.cell = nameOf(i);
    toHash();
    if (!dialog.open) dialog.showModal();
  };
  dialog.addEventListener("close", () => {
    if (dialog.open) return; // Opened again for another cell meanwhile.
    state.cell = "";
    toHash();
  });
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });
  $("close").addEventListener("click", () => dialog.close());

  const copy = async (id, button) => {
    const range = document.createRange();
    range.selectNodeContents($(id));
    getSelection().removeAllRanges();
    getSelection().addRange(range);
    try {
      await navigator.clipboard.writeText($(id).textContent);
    } catch {
      if (!document.execCommand("copy")) return; // The text is selected, for Ctrl-C.
    }
    button.textContent = "Copied";
    if (id === "repro") $("copied").textContent = "Copied.";
    setTimeout(() => {
      button.textContent = "Copy";
    }, 2000);
  };
  for (const button of document.querySelectorAll(".copy")) {
    button.addEventListener("click", () => copy(button.dataset.copy, button));
  }

  // Filters.
  const form = $("filters");
  for (const axis of AXES) {
    if (axis === "platform" && tables.platform.length < 2) continue;
    const box = element("details", "axis");
    box.name = "axis";
    box.dataset.axis = axis;
    box.append(element("summary"));
    const choices = element("fieldset");
    choices.append(element("legend", "", axis));
    const present = new Set(columns[axis]);
    tables[axis].forEach((name, v) => {
      if (!present.has(v)) return;
      const label = element("label");
      const input = element("input");
      input.type = "checkbox";
      input.name = axis;
      input.value = name;
      input.choice = v;
      label.append(input, name);
      choices.append(label);
    });
    box.append(choices);
    $("axes").append(box);
  }
  const showState = () => {
    for (const box of form.querySelectorAll(".axis")) {
      const { axis } = box.dataset;
      for (const input of box.querySelectorAll("input"))
        input.checked = state.sets[axis].has(input.choice);
      const names = [...state.sets[axis]].map((v) => tables[axis][v]);
      box.firstChild.textContent = `${axis}: ${names.length > 2 ? `${names.length} chosen` : names.join(", ") || "all"}`;
      box.classList.toggle("set", names.length > 0);
    }
    form.elements.unexpected.checked = state.unexpected;
    form.elements.intermittent.checked = state.intermittent;
    form.elements.by.value = state.by;
    if (form.elements.q.value !== state.q) form.elements.q.value = state.q;
  };
  const changed = () => {
    showState();
    refresh();
    toHash();
  };
  form.addEventListener("input", ({ target }) => {
    if (target.choice !== undefined) {
      const set = state.sets[target.name];
      if (target.checked) set.add(target.choice);
      else set.delete(target.choice);
    } else if (target.type === "checkbox") state[target.name] = target.checked;
    else state[target.name] = target.value;
    changed();
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", (event) => {
    event.preventDefault();
    clear();
    changed();
  });
  const shut = (except) => {
    for (const box of form.querySelectorAll("details[open]")) if (box !== except) box.open = false;
  };
  form.addEventListener("keydown", (event) => {
    const box = event.target.closest("details[open]");
    if (event.key !== "Escape" || !box) return;
    box.open = false;
    box.firstChild.focus();
  });
  document.addEventListener("click", (event) => shut(event.target.closest("details")));

  $("skip").addEventListener("click", (event) => {
    event.preventDefault();
    $("map").scrollIntoView();
    map.refocus();
  });

  const restore = () => {
    fromHash();
    const { cell } = state;
    if (dialog.open && !cell) dialog.close();
    showState();
    refresh();
    for (let i = 0; cell && i < total; i++) if (nameOf(i) === cell) open(i);
  };
  addEventListener("hashchange", () => {
    const linked = document.activeElement?.closest(".stress");
    restore();
    if (linked) $("map-title").scrollIntoView();
  });
  restore();
})();
