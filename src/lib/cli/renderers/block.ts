// A few rows that stay at the bottom while lines are appended above them: scrollback, selection and copying work as ever.
// Never the alternate screen, the mouse, or a hidden cursor: a process that is killed leaves a sane terminal behind.

export interface BlockScreen {
  write(text: string): unknown;
  readonly columns?: number | undefined;
}

/** A terminal that knows it shows what stands between at once. */
const BEGIN = '\x1b[?2026h';
const END = '\x1b[?2026l';
const REDRAW_MS = 50;

export class StickyBlock {
  readonly #screen: BlockScreen;
  /** Rows that are on the screen now, as they were written. */
  #drawn: string[] = [];
  #rows: readonly string[] = [];
  #timer: NodeJS.Timeout | undefined;

  constructor(screen: BlockScreen) {
    this.#screen = screen;
  }

  /** Shows these rows from now on; soon, not at once. None: nothing stays. */
  show(rows: readonly string[]): void {
    this.#rows = rows;
    this.#timer ??= setTimeout(() => this.append(''), REDRAW_MS).unref();
  }

  /** Whole lines above the block, in one write with it. */
  append(text: string): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const before = this.#erase();
    this.#drawn = this.#rows.map((row) => cut(row, this.#width - 1));
    const block = this.#drawn.map((row) => `${row}\n`).join('');
    // Without a block a line is a line: nothing to be shown at once.
    if (before + block !== '') this.#screen.write(BEGIN + before + text + block + END);
    else if (text !== '') this.#screen.write(text);
  }

  /** What was drawn is nobody's any more, as after Ctrl+Z and `fg`: the block is drawn afresh below. */
  restart(): void {
    this.#drawn = [];
    this.append('');
  }

  /** Nothing stays, and nothing more is drawn. */
  end(): void {
    this.#rows = [];
    this.append('');
  }

  get #width(): number {
    // A terminal that was never told its size says 0.
    return this.#screen.columns || 80;
  }

  /** Up over the rows that the block takes now: a narrower window has wrapped them. */
  #erase(): string {
    const rows = this.#drawn.reduce((sum, row) => sum + Math.max(1, Math.ceil(row.length / this.#width)), 0);
    return rows === 0 ? '' : `\x1b[${rows}A\r\x1b[J`;
  }
}

function cut(row: string, width: number): string {
  return row.length <= width ? row : `${row.slice(0, Math.max(0, width - 1))}…`;
}
