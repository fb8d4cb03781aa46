import { el } from "../dom.js";
export function askView(place) {
  place.append(el("h1", {}, "ask"));
  return { update() {} };
}
