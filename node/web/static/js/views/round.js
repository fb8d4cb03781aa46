import { el } from "../dom.js";
export function roundView(place) {
  place.append(el("h1", {}, "round"));
  return { update() {} };
}
