import { el } from "../dom.js";
export function encoderView(place) {
  place.append(el("h1", {}, "encoder"));
  return { update() {} };
}
