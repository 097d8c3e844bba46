// The places where Bun's bundler put the libraries. Other runtimes and bundlers have none.
"use strict";

module.exports = () => [];
