// Detects the runtime, its version and the platform from a global object.
"use strict";

// It takes the global object as an argument, so a test can imitate any runtime in any other.
function detect(globals) {
  const process = read(() => globals.process) || {};
  const platform = read(() => process.platform) || "unknown";
  const target = `${platform}-${read(() => process.arch) || "unknown"}`;
  const versions = {
    // In this order, because Bun and Deno show a version of Node too. A missing property throws, which
    // takes time, so each runtime is asked only for properties that it has.
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

// An unknown runtime may throw at any property.
function read(ask) {
  try {
    return ask();
  } catch {
    return undefined;
  }
}

module.exports = { detect, read };
