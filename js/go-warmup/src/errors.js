// The errors: what went wrong, with which library, and what to do next.
"use strict";

class GoWarmupError extends Error {
  constructor(code, path, what, next, cause) {
    super(`${what}\n  next: ${next}`);
    this.name = "GoWarmupError";
    this.code = `ERR_GO_WARMUP_${code}`;
    this.path = path;
    if (cause !== undefined) this.cause = cause;
  }
}

module.exports = { GoWarmupError };
