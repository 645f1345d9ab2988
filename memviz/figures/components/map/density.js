// Where points are dense: contours of a smoothed count. Pure.

const CELLS = 72;
const SHARES = [0.1, 0.25, 0.5, 0.75]; // of the highest density
const KERNEL = [0.06, 0.24, 0.4, 0.24, 0.06];

// (CELLS, CELLS) smoothed counts of x, y pairs inside a frame; `counts` says which pairs count.
export function smoothed(points, [x0, y0, x1, y1], counts = null) {
  let grid = new Float32Array(CELLS * CELLS);
  for (let i = 0; i < points.length / 2; i += 1) {
    const column = Math.floor(((points[2 * i] - x0) / (x1 - x0)) * CELLS);
    const row = Math.floor(((points[2 * i + 1] - y0) / (y1 - y0)) * CELLS);
    const isInside = column >= 0 && row >= 0 && column < CELLS && row < CELLS;
    if (isInside && (!counts || counts(i))) grid[row * CELLS + column] += 1;
  }
  for (const stride of [1, CELLS, 1, CELLS]) grid = blurred(grid, stride);
  return grid;
}

function blurred(grid, stride) {
  const found = new Float32Array(grid.length);
  for (let i = 0; i < grid.length; i += 1) {
    const at = stride === 1 ? i % CELLS : Math.floor(i / CELLS);
    KERNEL.forEach((weight, k) => {
      const off = k - 2;
      if (at + off >= 0 && at + off < CELLS) found[i] += weight * grid[i + off * stride];
    });
  }
  return found;
}

// Segments x, y, x, y of the lines at some shares of the highest value, by marching squares, in units of the frame.
export function contours(grid, [x0, y0, x1, y1]) {
  const top = grid.reduce((most, each) => Math.max(most, each), 0);
  if (!top) return SHARES.map(() => []);
  const place = (column, row) => [x0 + ((column + 0.5) / CELLS) * (x1 - x0), y0 + ((row + 0.5) / CELLS) * (y1 - y0)];
  return SHARES.map((share) => {
    const level = share * top;
    const segments = [];
    for (let row = 0; row < CELLS - 1; row += 1) {
      for (let column = 0; column < CELLS - 1; column += 1) {
        const corners = [[column, row], [column + 1, row], [column + 1, row + 1], [column, row + 1]];
        const values = corners.map(([c, r]) => grid[r * CELLS + c]);
        const cuts = [];
        for (let edge = 0; edge < 4; edge += 1) {
          const [a, b] = [values[edge], values[(edge + 1) % 4]];
          if (a > level === b > level) continue;
          const [from, to] = [corners[edge], corners[(edge + 1) % 4]];
          const t = (level - a) / (b - a);
          cuts.push(place(from[0] + t * (to[0] - from[0]), from[1] + t * (to[1] - from[1])));
        }
        for (let i = 0; i + 1 < cuts.length; i += 2) segments.push(...cuts[i], ...cuts[i + 1]);
      }
    }
    return segments;
  });
}
