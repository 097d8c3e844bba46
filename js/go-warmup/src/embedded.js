// Where Bun's bundler put the libraries; other runtimes and bundlers know nothing of them.
"use strict";

module.exports = () => [];
