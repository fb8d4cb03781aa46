import { el } from "../dom.js";
export function networkView(place) {
  place.append(el("h1", {}, "network"));
  return { update() {} };
}
