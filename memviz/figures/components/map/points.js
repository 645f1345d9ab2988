// Points of a map: decoded, placed on the screen, found under the pointer or inside a lasso. Pure but for the camera.

const MOST_ZOOM = 60;

// Base64 of little-endian numbers as an array of a type.
export function decode(text, Type) {
  const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  return new Type(bytes.buffer);
}

// Places in 16 bits of the frame as floats; x0 y0 x1 y1 are its edges.
export function spread(places, [x0, y0, x1, y1]) {
  const found = new Float32Array(places.length);
  for (let i = 0; i < places.length; i += 2) {
    found[i] = x0 + ((x1 - x0) * places[i]) / 65535;
    found[i + 1] = y0 + ((y1 - y0) * places[i + 1]) / 65535;
  }
  return found;
}

// Whether (x, y) is inside a polygon [x, y, x, y, ...]: crossings to the right are odd.
export function isInside(polygon, x, y) {
  let inside = false;
  for (let i = 0, j = polygon.length - 2; i < polygon.length; j = i, i += 2) {
    const ay = polygon[i + 1];
    const by = polygon[j + 1];
    if (ay > y === by > y) continue;
    if (x < ((polygon[j] - polygon[i]) * (y - ay)) / (by - ay) + polygon[i]) inside = !inside;
  }
  return inside;
}

// Numbers of the points (x, y pairs) inside a polygon; most are turned away by its bounding box.
export function enclosed(polygon, points) {
  const xs = polygon.filter((_, i) => i % 2 === 0);
  const ys = polygon.filter((_, i) => i % 2 === 1);
  const [left, right, low, high] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
  const found = [];
  for (let i = 0; i < points.length; i += 2) {
    const [x, y] = [points[i], points[i + 1]];
    if (x >= left && x <= right && y >= low && y <= high && isInside(polygon, x, y)) found.push(i / 2);
  }
  return found;
}

// Number of the point nearest to (x, y) enclosed a distance, or -1.
export function nearestTo(points, x, y, distance) {
  let best = distance * distance;
  let found = -1;
  for (let i = 0; i < points.length; i += 2) {
    const apart = (points[i] - x) ** 2 + (points[i + 1] - y) ** 2;
    if (apart <= best) [best, found] = [apart, i / 2];
  }
  return found;
}

// Number of the nearest point (x, y pairs) to point i within 45 degrees of a direction; i itself where there is none.
export function nearestBeside(points, i, [wx, wy]) {
  let best = Infinity;
  let found = i;
  for (let j = 0; j < points.length; j += 2) {
    const [dx, dy] = [points[j] - points[2 * i], points[j + 1] - points[2 * i + 1]];
    const [along, across] = [dx * wx + dy * wy, Math.abs(dx * wy - dy * wx)];
    const apart = Math.hypot(dx, dy);
    if (along > 0 && across <= along && apart < best) [best, found] = [apart, j / 2];
  }
  return found;
}

// One view for all panes: equal units on both axes; at zoom 1 what fits is the frame of most points, or the whole one.
export class Camera {
  constructor(frame, fit = frame) {
    Object.assign(this, { frame, fit });
    this.reset();
  }

  reset(isWhole = false) {
    this.box = isWhole ? this.frame : this.fit;
    const [x0, y0, x1, y1] = this.box;
    Object.assign(this, { x: (x0 + x1) / 2, y: (y0 + y1) / 2, zoom: 1 });
  }

  // Pixels a unit in a pane of this size.
  scale(width, height) {
    const [x0, y0, x1, y1] = this.box;
    return this.zoom * Math.min(width / (x1 - x0 || 1), height / (y1 - y0 || 1));
  }

  toScreen(x, y, width, height) {
    const unit = this.scale(width, height);
    return [width / 2 + (x - this.x) * unit, height / 2 - (y - this.y) * unit];
  }

  toWorld(px, py, width, height) {
    const unit = this.scale(width, height);
    return [this.x + (px - width / 2) / unit, this.y - (py - height / 2) / unit];
  }

  // What is under the pointer stays there.
  zoomAt(px, py, factor, width, height) {
    const [x, y] = this.toWorld(px, py, width, height);
    this.zoom = Math.max(0.5, Math.min(MOST_ZOOM, this.zoom * factor));
    const [nx, ny] = this.toWorld(px, py, width, height);
    this.x += x - nx;
    this.y += y - ny;
  }

  pan(dx, dy, width, height) {
    const unit = this.scale(width, height);
    this.x -= dx / unit;
    this.y += dy / unit;
  }
}
