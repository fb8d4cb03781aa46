// Points on a canvas one can move and enlarge; knows places and marks, nothing of what they mean.

const POINT_PX = 2.6;
const REACH_PX = 14;
const MARGIN = 0.06;
const SCALE_MAX = 200;

/** Draws `points` [{x, y, age}] (age 0 newest, 1 oldest) into a canvas; `onPick(index or null)` follows the pointer. */
export class Plane {
  constructor(canvas, { onPick, onPress }) {
    Object.assign(this, {
      canvas,
      onPick,
      onPress,
      points: [],
      hits: new Map(),
      picked: null,
      view: null,
      asked: false,
    });
    this.pointers = new Map();
    this.observer = new ResizeObserver(() => this.draw());
    this.observer.observe(canvas);
    this.listen();
    this.colours();
  }

  end() {
    this.observer.disconnect();
  }

  /** Colours as the theme has them now. */
  colours() {
    const probe = document.createElement("span");
    this.canvas.parentElement.append(probe);
    const read = (name) => {
      probe.style.color = `var(--${name})`;
      return getComputedStyle(probe).color;
    };
    this.colour = Object.fromEntries(
      ["accent", "ink", "edge", "ground", "raised", "on-accent"].map((name) => [name, read(name)]),
    );
    probe.remove();
    this.draw();
  }

  /** Show these points; the view stays unless there were none. */
  show(points) {
    const first = !this.points.length;
    this.points = points;
    this.picked = null;
    if (first) this.view = null;
    this.draw();
  }

  /** Mark points by index -> rank. */
  mark(hits) {
    this.hits = hits;
    this.draw();
  }

  pick(index) {
    if (this.picked === index) return;
    this.picked = index;
    this.draw();
  }

  /** All points within the canvas. */
  fit() {
    this.view = null;
    this.draw();
  }

  zoom(factor, at = null) {
    const view = this.placed();
    const [x, y] = at ?? [this.width / 2, this.height / 2];
    const scale = Math.min(view.base * SCALE_MAX, Math.max(view.base * 0.5, view.scale * factor));
    const ratio = scale / view.scale;
    this.view = { ...view, scale, left: x - (x - view.left) * ratio, top: y - (y - view.top) * ratio };
    this.draw();
  }

  pan(dx, dy) {
    const view = this.placed();
    this.view = { ...view, left: view.left + dx, top: view.top + dy };
    this.draw();
  }

  /** The nearest point to the picked one, in the direction of (dx, dy); the one in the middle where none is picked. */
  step(dx, dy) {
    const view = this.placed();
    const from =
      this.picked === null ? [this.width / 2, this.height / 2] : this.spot(this.points[this.picked], view);
    let best = null;
    let least = Infinity;
    this.points.forEach((point, index) => {
      const [x, y] = this.spot(point, view);
      const [along, across] = [
        (x - from[0]) * dx + (y - from[1]) * dy,
        Math.abs((x - from[0]) * dy - (y - from[1]) * dx),
      ];
      const cost = this.picked === null ? Math.hypot(x - from[0], y - from[1]) : along + 3 * across;
      if (index !== this.picked && (this.picked === null || along > 0.5) && cost < least)
        [best, least] = [index, cost];
    });
    return best;
  }

  /** Move the view so that a point is in it. */
  reveal(index) {
    const view = this.placed();
    const [x, y] = this.spot(this.points[index], view);
    const inset = 30;
    const dx = x < inset ? inset - x : x > this.width - inset ? this.width - inset - x : 0;
    const dy = y < inset ? inset - y : y > this.height - inset ? this.height - inset - y : 0;
    if (dx || dy) this.pan(dx, dy);
  }

  /** Where a point lies on the canvas, in CSS pixels. */
  place(index) {
    return this.spot(this.points[index], this.placed());
  }

  get width() {
    return this.canvas.clientWidth;
  }

  get height() {
    return this.canvas.clientHeight;
  }

  placed() {
    if (this.view) return this.view;
    const [xs, ys] = [this.points.map((one) => one.x), this.points.map((one) => one.y)];
    const least = (values) => values.reduce((a, b) => Math.min(a, b), Infinity);
    const most = (values) => values.reduce((a, b) => Math.max(a, b), -Infinity);
    const [wide, high] = [most(xs) - least(xs) || 1, most(ys) - least(ys) || 1];
    const scale = Math.min(this.width / wide, this.height / high) * (1 - 2 * MARGIN) || 1;
    const [middleX, middleY] = this.points.length
      ? [(most(xs) + least(xs)) / 2, (most(ys) + least(ys)) / 2]
      : [0, 0];
    return {
      base: scale,
      scale,
      left: this.width / 2 - middleX * scale,
      top: this.height / 2 + middleY * scale,
    };
  }

  spot(point, view) {
    return [view.left + point.x * view.scale, view.top - point.y * view.scale];
  }

  draw() {
    if (this.asked) return;
    this.asked = true;
    requestAnimationFrame(() => {
      this.asked = false;
      this.paint();
    });
  }

  paint() {
    const ratio = window.devicePixelRatio || 1;
    const [width, height] = [this.width, this.height];
    if (!width || !height || !this.colour) return;
    this.canvas.width = Math.round(width * ratio);
    this.canvas.height = Math.round(height * ratio);
    const pen = this.canvas.getContext("2d");
    pen.scale(ratio, ratio);
    const view = this.placed();
    const radius = POINT_PX * Math.min(2.2, Math.max(1, Math.sqrt(view.scale / view.base)));
    pen.fillStyle = this.colour.accent;
    for (const point of this.points) {
      const [x, y] = this.spot(point, view);
      if (x < -9 || y < -9 || x > width + 9 || y > height + 9) continue;
      pen.globalAlpha = (this.hits.size ? 0.5 : 1) * (0.85 - 0.55 * point.age);
      pen.beginPath();
      pen.arc(x, y, radius, 0, 2 * Math.PI);
      pen.fill();
    }
    pen.globalAlpha = 1;
    for (const [index, rank] of this.hits) this.badge(pen, this.spot(this.points[index], view), rank);
    if (this.picked !== null && this.points[this.picked])
      this.ring(pen, this.spot(this.points[this.picked], view), radius);
  }

  badge(pen, [x, y], rank) {
    pen.beginPath();
    pen.arc(x, y, 10, 0, 2 * Math.PI);
    pen.fillStyle = this.colour.accent;
    pen.strokeStyle = this.colour.raised;
    pen.lineWidth = 2;
    pen.fill();
    pen.stroke();
    pen.fillStyle = this.colour["on-accent"];
    pen.font = '600 11px "Plex Sans", sans-serif';
    pen.textAlign = "center";
    pen.textBaseline = "middle";
    pen.fillText(String(rank), x, y + 0.5);
  }

  ring(pen, [x, y], radius) {
    pen.beginPath();
    pen.arc(x, y, radius + 7, 0, 2 * Math.PI);
    pen.strokeStyle = this.colour.ink;
    pen.lineWidth = 2;
    pen.stroke();
  }

  nearest(x, y) {
    const view = this.placed();
    let best = null;
    let least = REACH_PX;
    this.points.forEach((point, index) => {
      const [px, py] = this.spot(point, view);
      const far = Math.hypot(px - x, py - y) - (this.hits.has(index) ? 6 : 0);
      if (far < least) [best, least] = [index, far];
    });
    return best;
  }

  listen() {
    const canvas = this.canvas;
    const at = (event) => [event.offsetX, event.offsetY];
    let moved = 0;
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      this.pointers.set(event.pointerId, at(event));
      moved = 0;
    });
    canvas.addEventListener("pointermove", (event) => {
      const before = this.pointers.get(event.pointerId);
      const now = at(event);
      if (!before) {
        if (event.pointerType !== "touch") this.onPick(this.nearest(...now));
        return;
      }
      this.pointers.set(event.pointerId, now);
      const [dx, dy] = [now[0] - before[0], now[1] - before[1]];
      moved += Math.hypot(dx, dy);
      if (this.pointers.size === 1) this.pan(dx, dy);
      else if (this.pointers.size === 2) this.pinch(event.pointerId, before, now);
    });
    const up = (event) => {
      if (this.pointers.delete(event.pointerId) && moved < 6 && event.type === "pointerup")
        this.onPress(this.nearest(...at(event)));
    };
    canvas.addEventListener("pointerup", up);
    canvas.addEventListener("pointercancel", up);
    canvas.addEventListener(
      "wheel",
      (event) => {
        // Who scrolls past the map scrolls the page: it takes the wheel once it has the focus, or with Ctrl.
        if (!event.ctrlKey && document.activeElement !== canvas) return;
        event.preventDefault();
        this.zoom(Math.exp(-event.deltaY / 400), at(event));
      },
      { passive: false },
    );
  }

  pinch(moving, before, now) {
    const [, other] = [...this.pointers].find(([id]) => id !== moving);
    const apart = (place) => Math.hypot(place[0] - other[0], place[1] - other[1]);
    this.zoom(apart(now) / (apart(before) || 1), [(now[0] + other[0]) / 2, (now[1] + other[1]) / 2]);
  }
}
