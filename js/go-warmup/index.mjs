import goWarmup from "./index.js";

export const { GoWarmupError, warmup, wrap } = goWarmup;
export default goWarmup;
