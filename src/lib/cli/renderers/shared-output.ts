// A stream that a program's output and tunl's own lines share. The program's bytes pass unchanged and at once; an own line
// waits for the end of the program's line.

/** After this time, ms, an own line does not wait any more: a prompt or a progress bar may never end its line. */
const PATIENCE_MS = 300;
/** The last bytes that decide whether a line has ended. */
const LOOK_BACK = 64;
/** More own lines than this, in characters, do not wait. */
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

/** Programs often reset a colour after the line end. */
function endsLine(bytes: Uint8Array): boolean {
  if (bytes.at(-1) === 0x0a) return true;
  if (bytes.at(-1) !== 0x6d) return false;
  const end = Buffer.from(bytes.subarray(-LOOK_BACK)).toString('latin1');
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the sequence begins with one.
  return /\n(\x1b\[[0-9;]*m)+$/.test(end);
}
