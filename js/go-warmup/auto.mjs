import outcome from "./auto.js";

export default outcome;
