export * from "./index.js";
import goWarmup = require("./index.js");
export default goWarmup;
