import { el } from "../dom.js";
export function mapView(place) {
  place.append(el("h1", {}, "map"));
  return { update() {} };
}
