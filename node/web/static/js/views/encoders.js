import { el } from "../dom.js";
export function encodersView(place) {
  place.append(el("h1", {}, "encoders"));
  return { update() {} };
}
