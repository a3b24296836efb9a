// A few rows that stay at the bottom while lines are appended above them. Scrollback, selection and copying work as usual.
// It uses no alternate screen, mouse or hidden cursor, so a killed process leaves the terminal usable.

import {cells, cut} from '../cells.js';

export interface BlockScreen {
  write(text: string): unknown;
  readonly columns?: number | undefined;
  readonly rows?: number | undefined;
}

export interface Row {
  text: string;
  /** Adds colours, which need no cells. */
  paint?: (text: string) => string;
  /** True: a text that is too long for the window continues in the next row. False: it is cut. */
  wraps?: boolean;
}

/** A terminal that knows these sequences shows everything between them at once. */
const BEGIN = '\x1b[?2026h';
const END = '\x1b[?2026l';
const REDRAW_MS = 50;
/** After this time the shell's `fg` has written its own line. */
const SHELL_MS = 150;
const MAX_HEIGHT = 5;
/** The most rows for a text that wraps. */
const MAX_WRAPPED = 3;

export class StickyBlock {
  readonly #screen: BlockScreen;
  readonly #isMine: () => boolean;
  /** The widths of the rows on the screen, in cells, when they were written. */
  #drawn: number[] = [];
  #rows: readonly Row[] = [];
  /** The last argument of `show` that was drawn. */
  #shown = '';
  #timer: NodeJS.Timeout | undefined;
  #turn: NodeJS.Immediate | undefined;

  /** `isMine` tells whether this process is in the foreground. While it is not, lines are printed without a block. */
  constructor(screen: BlockScreen, isMine: () => boolean = () => true) {
    this.#screen = screen;
    this.#isMine = isMine;
  }

  /** Shows these rows soon. Unchanged rows are not drawn again, because that would end a selection. */
  show(rows: readonly Row[]): void {
    const key = [this.#isMine(), this.#width, this.#height, ...rows.map(({text}) => text)].join('\n');
    if (key === this.#shown) return;
    this.#shown = key;
    this.#rows = rows;
    if (this.#timer === undefined) this.#drawAfter(REDRAW_MS);
  }

  /** Prints whole lines above the block, in one write with the block. */
  append(text: string): void {
    this.#drawNoLater();
    if (!this.#isMine()) {
      this.#drawn = [];
      if (text !== '') this.#screen.write(text);
      return;
    }
    const before = this.#erase();
    const rows = this.#fitting();
    this.#drawn = rows.map((row) => cells(row.text));
    const block = rows.map(({text: row, paint}) => `${paint ? paint(row) : row}\n`).join('');
    // Without a block there is nothing to draw with the lines.
    if (before + block !== '') this.#screen.write(BEGIN + before + text + block + END);
    else if (text !== '') this.#screen.write(text);
  }

  /** Removes the block until rows are shown again, so that another stream can write a line here. */
  lift(): void {
    this.#drawNoLater();
    this.#shown = '';
    const before = this.#isMine() ? this.#erase() : '';
    this.#drawn = [];
    if (before !== '') this.#screen.write(before);
  }

  /** The drawn block is lost, such as after Ctrl+Z and `fg`: a new one is drawn below the shell's output. */
  restart(): void {
    this.#drawn = [];
    this.#drawAfter(SHELL_MS);
  }

  /** Removes the block; nothing more is drawn. */
  end(): void {
    this.#rows = [];
    this.#shown = '';
    this.append('');
  }

  /**
   * Called from a later turn than the timer: after a stop the timer fires before the signal that reports the stop, and the
   * screen has changed.
   */
  #drawAfter(ms: number): void {
    this.#drawNoLater();
    this.#timer = setTimeout(() => {
      this.#turn = setImmediate(() => this.append(''));
    }, ms).unref();
  }

  #drawNoLater(): void {
    clearTimeout(this.#timer);
    clearImmediate(this.#turn);
    this.#timer = undefined;
  }

  // A terminal without a known size reports 0.
  get #width(): number {
    return this.#screen.columns || 80;
  }

  get #height(): number {
    return this.#screen.rows || 24;
  }

  /**
   * The rows to draw, none wider than the window, so that their number stays the same when the window grows unnoticed.
   * Without room for all, the last row, which matters least, is left out first; then the first one.
   */
  #fitting(): Row[] {
    const rows = this.#rows.map((row) => {
      const pieces = row.wraps ? chunks(row.text, this.#width - 1) : [];
      return pieces.length > 1 && pieces.length <= MAX_WRAPPED
        ? pieces.map((text) => ({...row, text}))
        : [{...row, text: cut(row.text, this.#width - 1)}];
    });
    // One line of the log and the cursor's line need room as well.
    const room = Math.max(1, Math.min(MAX_HEIGHT, this.#height - 2));
    if (rows.flat().length > room) rows.pop();
    while (rows.flat().length > room && rows.length > 1) rows.shift();
    return rows.flat();
  }

  #heightOf(width: number): number {
    return Math.max(1, Math.ceil(width / this.#width));
  }

  /** Moves up over the rows of the block; a narrower window has wrapped them. */
  #erase(): string {
    const rows = this.#drawn.reduce((sum, width) => sum + this.#heightOf(width), 0);
    return rows === 0 ? '' : `\x1b[${rows}A\r\x1b[J`;
  }
}

/** Only for addresses, where each character is one cell. */
function chunks(text: string, width: number): string[] {
  return Array.from({length: Math.ceil(text.length / width)}, (_, n) =>
    text.slice(n * width, (n + 1) * width),
  );
}
