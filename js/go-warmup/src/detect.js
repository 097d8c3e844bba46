// Which runtime, version and platform this is, by what a global object shows.
"use strict";

// Takes the global object, so that any runtime can be asked about in any other.
function detect(globals) {
  const process = read(() => globals.process) || {};
  const platform = read(() => process.platform) || "unknown";
  const target = `${platform}-${read(() => process.arch) || "unknown"}`;
  const versions = {
    // In this order: Bun and Deno show a version of Node as well. What a runtime lacks throws, which
    // takes time, so none is asked for what only a later one has.
    bun: () => read(() => process.versions.bun) || read(() => globals.Bun.version),
    deno: () => read(() => globals.Deno.version.deno),
    node: () => read(() => process.release.name) === "node" && read(() => process.versions.node),
  };
  for (const runtime of Object.keys(versions)) {
    const version = versions[runtime]();
    if (typeof version === "string") return { runtime, version, platform, target };
  }
  return { runtime: "unknown", version: "", platform, target };
}

// A runtime that is not known may throw at any question.
function read(ask) {
  try {
    return ask();
  } catch {
    return undefined;
  }
}

module.exports = { detect, read };
