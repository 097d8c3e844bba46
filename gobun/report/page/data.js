"use strict";

/** The results, unpacked: what is known of cell number i. */
const results = (() => {
  const source = document.getElementById("data");
  const packed = JSON.parse(source.textContent);
  const { tables, columns, numbers, templates, fillings, differences } = packed;
  const { hole } = source.dataset;
  const total = columns.outcome.length;
  const flags = (indices) => {
    const flag = new Uint8Array(total);
    for (const i of indices) flag[i] = 1;
    return flag;
  };
  const unexpected = flags(packed.unexpected);
  const intermittent = flags(packed.intermittent);

  const value = (name, i) => tables[name][columns[name][i]];
  // The platform is empty unless the run joins several.
  const version = (i) =>
    `${value("platform", i)} ${value("runtime", i)}@${value("version", i)}`.trimStart();
  const name = (i) =>
    [version(i), ...["treatment", "module", "load", "stress"].map((axis) => value(axis, i))].join(
      "/",
    );
  const glyph = (i) => packed.glyphs[columns.outcome[i]];
  const said = (i) =>
    (unexpected[i] ? "unexpected " : "") +
    (intermittent[i] ? "intermittent " : "") +
    value("outcome", i);
  const text = (kind, i) => {
    const pieces = templates[packed.texts[kind][2 * i]].split(hole);
    const filling = fillings[packed.texts[kind][2 * i + 1]].split(" ");
    return pieces.map((piece, at) => (at ? filling[at - 1] : "") + piece).join("");
  };
  let haystack = null;
  const searched = (i) => {
    haystack ??= Array.from({ length: total }, (_, j) =>
      `${name(j)} ${said(j)} ${text("detail", j)}`.toLowerCase(),
    );
    return haystack[i];
  };
  return {
    tables,
    columns,
    numbers,
    differences,
    total,
    unexpected,
    intermittent,
    value,
    version,
    name,
    glyph,
    said,
    text,
    searched,
  };
})();

/** No markup is ever made from strings: every text goes in as textContent. */
const element = (tag, className = "", content = "") => {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (content) made.textContent = content;
  return made;
};

const markOf = (i) => {
  const mark = element("span", `mark ${results.value("outcome", i)}`, results.glyph(i));
  mark.setAttribute("aria-hidden", "true");
  return mark;
};
