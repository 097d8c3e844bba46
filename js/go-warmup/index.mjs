import goWarmup from "./index.js";

export const { GoWarmupError, guardStats, warmup, wrap } = goWarmup;
export default goWarmup;
