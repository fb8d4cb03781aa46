// Elements from data. Whatever a peer wrote becomes a text node; nothing is ever parsed as HTML.

const SVG = "http://www.w3.org/2000/svg";

/** An element. `props`: `class`, `on` (event -> listener), `style` (name -> value), attributes. */
export function el(tag, props, ...children) {
  return build(document.createElement(tag), props, children);
}

/** The same in SVG. */
export function svg(tag, props, ...children) {
  return build(document.createElementNS(SVG, tag), props, children);
}

function build(node, props, children) {
  for (const [name, value] of Object.entries(props ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "on")
      for (const [event, listener] of Object.entries(value)) node.addEventListener(event, listener);
    else if (name === "style")
      for (const [key, one] of Object.entries(value)) node.style.setProperty(key, one);
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  node.append(...children.flat(Infinity).filter((one) => one !== null && one !== undefined && one !== false));
  return node;
}

/**
 * Replace what is in `container` when `data` differs from last time; whoever had the focus in it keeps it, if
 * an element with the same `data-key` is there again.
 */
export function fill(container, data, make) {
  const signature = JSON.stringify(data);
  if (container.filledFrom === signature) return;
  container.filledFrom = signature;
  const held = container.contains(document.activeElement) ? document.activeElement.dataset.key : undefined;
  container.replaceChildren(...[make()].flat(Infinity).filter(Boolean));
  if (held === undefined) return;
  for (const node of container.querySelectorAll("[data-key]")) {
    if (node.dataset.key === held) return node.focus({ preventScroll: true });
  }
}
