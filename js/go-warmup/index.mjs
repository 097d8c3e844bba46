import goWarmup from "./index.js";

export const { GoWarmupError, explain, guardStats, warmup, wrap } = goWarmup;
export default goWarmup;
