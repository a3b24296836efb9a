// A stream for the output of a program and tunl's own lines. The program's bytes pass unchanged and at once; a line of tunl
// waits until the program has ended its line.

/** A line of tunl waits at most this long, ms, because a prompt or a progress bar may never end its line. */
const PATIENCE_MS = 300;
/** This many last bytes are checked for the end of a line. */
const LOOK_BACK = 64;
/** When more characters of tunl's lines than this wait, they are written at once. */
const MAX_WAITING = 65_536;

export class SharedOutput {
  readonly #write: (piece: string | Uint8Array) => unknown;
  #midLine = false;
  #waiting = '';
  #timer: NodeJS.Timeout | undefined;

  constructor(write: (piece: string | Uint8Array) => unknown) {
    this.#write = write;
  }

  /** Output of the program, cut anywhere. */
  program(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    this.#write(bytes);
    this.#midLine = !endsLine(bytes);
    if (!this.#midLine) this.#flush();
  }

  /** Whole lines of tunl. */
  own(lines: string): void {
    if (!this.#midLine && this.#waiting === '') {
      this.#write(lines);
      return;
    }
    this.#waiting += lines;
    if (this.#waiting.length > MAX_WAITING) this.settle();
    else this.#timer ??= setTimeout(() => this.settle(), PATIENCE_MS);
  }

  /** Ends a line that the program has begun, and writes the lines that wait. */
  settle(): void {
    if (this.#midLine) this.#write('\n');
    this.#midLine = false;
    this.#flush();
  }

  /** Writes the lines that wait. Without any, the program's line stays as it is. */
  end(): void {
    if (this.#waiting !== '') this.settle();
  }

  #flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const lines = this.#waiting;
    this.#waiting = '';
    if (lines !== '') this.#write(lines);
  }
}

/** A colour may be reset after the line end. */
function endsLine(bytes: Uint8Array): boolean {
  if (bytes.at(-1) === 0x0a) return true;
  if (bytes.at(-1) !== 0x6d) return false;
  const end = Buffer.from(bytes.subarray(-LOOK_BACK)).toString('latin1');
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the sequence begins with one.
  return /\n(\x1b\[[0-9;]*m)+$/.test(end);
}
