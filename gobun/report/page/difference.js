/** The table of differences: a count is a button that lists its cells, each with both its ends. */
const differenceTable = (open) => {
  const table = document.getElementById("difference");
  if (!table) return;
  const STEP = 50;
  const [box, title, list, more] = ["pairs", "pairs-title", "pairs-list", "pairs-more"].map((id) =>
    document.getElementById(id),
  );
  let pressed = null;
  let pairs = [];

  const end = (i) => {
    const button = element("button", "", ` ${results.said(i)}`);
    button.type = "button";
    button.cellIndex = i;
    button.setAttribute("aria-label", `${results.name(i)}: ${results.said(i)}`);
    button.prepend(markOf(i));
    return button;
  };
  const extend = () => {
    const from = list.children.length;
    for (const [now, before] of pairs.slice(from, from + STEP)) {
      const item = element("li");
      const what = ["module", "load", "stress"].map((axis) => results.value(axis, now)).join("/");
      item.append(element("span", "what", what));
      if (before >= 0) item.append(end(before), element("span", "", "→"));
      item.append(end(now));
      list.append(item);
    }
    const left = pairs.length - list.children.length;
    more.hidden = left <= 0;
    more.textContent = `Show ${Math.min(left, STEP)} more of ${left}`;
  };
  const shut = () => {
    pressed?.setAttribute("aria-expanded", "false");
    pressed = null;
    box.hidden = true;
  };

  for (const count of table.querySelectorAll(".count[data-of]")) {
    const { of, kind } = count.dataset;
    const name = count.closest("tr").querySelector("b").textContent;
    const button = element("button", count.className);
    button.type = "button";
    button.append(...count.childNodes);
    button.setAttribute("aria-expanded", "false");
    button.setAttribute("aria-controls", box.id);
    button.setAttribute("aria-label", `${results.differences[of][kind].length} ${kind} by ${name}`);
    button.addEventListener("click", () => {
      const again = pressed === button;
      shut();
      if (again) return;
      pressed = button;
      button.setAttribute("aria-expanded", "true");
      pairs = results.differences[of][kind];
      title.textContent = `${pairs.length} ${kind} by ${name}: stock → with it`;
      list.replaceChildren();
      extend();
      box.hidden = false;
      box.scrollIntoView({ block: "nearest" });
    });
    count.replaceWith(button);
  }
  more.addEventListener("click", extend);
  list.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button) open(button.cellIndex);
  });
  const back = () => {
    const from = pressed;
    shut();
    from?.focus();
  };
  document.getElementById("pairs-close").addEventListener("click", back);
  table.closest("section").addEventListener("keydown", (event) => {
    if (event.key === "Escape" && pressed) back();
  });
};
