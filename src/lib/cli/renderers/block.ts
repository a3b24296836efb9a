// A few rows that stay at the bottom while lines are appended above them: scrollback, selection and copying work as ever.
// Never the alternate screen, the mouse, or a hidden cursor: a process that is killed leaves a sane terminal behind.

import {cells, cut} from '../cells.js';

export interface BlockScreen {
  write(text: string): unknown;
  readonly columns?: number | undefined;
  readonly rows?: number | undefined;
}

export interface Row {
  text: string;
  /** Colours, which take no room. */
  paint?: (text: string) => string;
  /** Too long for the window, it goes on in the next row. Else it is cut. */
  wraps?: boolean;
}

/** A terminal that knows it shows what stands between at once. */
const BEGIN = '\x1b[?2026h';
const END = '\x1b[?2026l';
const REDRAW_MS = 50;
/** `fg` has written its own line by then. */
const SHELL_MS = 150;
const MAX_HEIGHT = 5;
/** Of these, what one row may take that wraps. */
const MAX_WRAPPED = 3;

export class StickyBlock {
  readonly #screen: BlockScreen;
  readonly #isMine: () => boolean;
  /** Cells of the rows that are on the screen now, as they were written. */
  #drawn: number[] = [];
  #rows: readonly Row[] = [];
  /** What `show` was last given, where it was drawn. */
  #shown = '';
  #timer: NodeJS.Timeout | undefined;
  #turn: NodeJS.Immediate | undefined;

  /** `isMine`: whether the terminal is this process's. While it is not, lines are lines and there is no block. */
  constructor(screen: BlockScreen, isMine: () => boolean = () => true) {
    this.#screen = screen;
    this.#isMine = isMine;
  }

  /** Shows these rows from now on; soon, not at once, and not again what stands there: it would end a selection. */
  show(rows: readonly Row[]): void {
    const key = [this.#isMine(), this.#width, this.#height, ...rows.map(({text}) => text)].join('\n');
    if (key === this.#shown) return;
    this.#shown = key;
    this.#rows = rows;
    if (this.#timer === undefined) this.#drawAfter(REDRAW_MS);
  }

  /** Whole lines above the block, in one write with it. */
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
    // Without a block a line is a line: nothing to be shown at once.
    if (before + block !== '') this.#screen.write(BEGIN + before + text + block + END);
    else if (text !== '') this.#screen.write(text);
  }

  /** What was drawn is nobody's any more, as after Ctrl+Z and `fg`: the block is drawn afresh, below what the shell says. */
  restart(): void {
    this.#drawn = [];
    this.#drawAfter(SHELL_MS);
  }

  /** Nothing stays, and nothing more is drawn. */
  end(): void {
    this.#rows = [];
    this.#shown = '';
    this.append('');
  }

  /** Not from the timer itself: after a stop it comes before the signal that says so, and then nothing is where it was. */
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

  // A terminal that was never told its size says 0.
  get #width(): number {
    return this.#screen.columns || 80;
  }

  get #height(): number {
    return this.#screen.rows || 24;
  }

  /**
   * The rows as they are drawn, none wider than the window: where the window grows before anybody is told, they still take
   * as many. Where not all have room, the last goes first: it matters least; then the first.
   */
  #fitting(): Row[] {
    const rows = this.#rows.map((row) => {
      const pieces = row.wraps ? chunks(row.text, this.#width - 1) : [];
      return pieces.length > 1 && pieces.length <= MAX_WRAPPED
        ? pieces.map((text) => ({...row, text}))
        : [{...row, text: cut(row.text, this.#width - 1)}];
    });
    // A line of the log and the cursor's own have to be seen, too.
    const room = Math.max(1, Math.min(MAX_HEIGHT, this.#height - 2));
    if (rows.flat().length > room) rows.pop();
    while (rows.flat().length > room && rows.length > 1) rows.shift();
    return rows.flat();
  }

  #heightOf(width: number): number {
    return Math.max(1, Math.ceil(width / this.#width));
  }

  /** Up over the rows that the block takes now: a narrower window has wrapped them. */
  #erase(): string {
    const rows = this.#drawn.reduce((sum, width) => sum + this.#heightOf(width), 0);
    return rows === 0 ? '' : `\x1b[${rows}A\r\x1b[J`;
  }
}

/** Addresses only: a character is a cell. */
function chunks(text: string, width: number): string[] {
  return Array.from({length: Math.ceil(text.length / width)}, (_, n) =>
    text.slice(n * width, (n + 1) * width),
  );
}
