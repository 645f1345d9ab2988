// What the two ways to show the rows share: rows of cells, each a token.

import { tokenAt } from "./marks.js";

export class Board {
  constructor(data) {
    this.data = data;
  }

  // One cell at a time is in the order of the tab key.
  setStop(cell) {
    if (this.stop === cell) return;
    this.stop?.setAttribute("tabindex", "-1");
    cell?.setAttribute("tabindex", "0");
    this.stop = cell;
  }

  cellAt(r, column) {
    const made = this.rows[r];
    return made?.tokens[tokenAt(this.data, made.row, column) ?? -1];
  }
}
