// The folder of this code while it runs: that of the bundle, or of the executable's own files.
// (Bun's bundler writes the folder of the source into __dirname.)
export const folder = import.meta.dir;
