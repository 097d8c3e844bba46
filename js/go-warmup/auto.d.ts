import { Outcome } from "./index.js";
declare const outcome: Outcome;
export = outcome;
