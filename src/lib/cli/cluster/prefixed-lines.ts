// The output of several members as lines that begin with the rank. Bytes inside of a line stay as they are.

import {systemClock, type Timer} from '../../core/clock.js';

/** A longer line is shown in pieces. */
const MAX_LINE_BYTES = 16 * 1024;
/** A line without an end, such as a question or a progress bar, is shown after this time, ms. */
const PATIENCE_MS = 500;
const LF = 0x0a;
const CR = 0x0d;
const ESC = 0x1b;
/** Foreground colours that can be read on light and dark ground. */
const COLOURS = [36, 33, 32, 35, 34, 31] as const;

export class PrefixedLines {
  readonly #show: (bytes: Buffer) => void;
  readonly #colours: boolean;
  /** By rank and stream: what has no end yet. */
  readonly #rests = new Map<string, {rest: Buffer; timer: Timer}>();

  constructor(show: (bytes: Buffer) => void, {colours}: {colours: boolean}) {
    this.#show = show;
    this.#colours = colours;
  }

  write(rank: number, from: string, bytes: Uint8Array): void {
    const key = `${rank} ${from}`;
    const before = this.#rests.get(key);
    let text = before === undefined ? Buffer.from(bytes) : Buffer.concat([before.rest, bytes]);
    const lines: Buffer[] = [];
    for (let end = text.indexOf(LF); end >= 0; end = text.indexOf(LF)) {
      lines.push(text.subarray(0, end));
      text = text.subarray(end + 1);
    }
    while (text.length > MAX_LINE_BYTES) {
      lines.push(text.subarray(0, MAX_LINE_BYTES));
      text = text.subarray(MAX_LINE_BYTES);
    }
    if (lines.length > 0) this.#print(rank, lines);
    // A progress bar never ends its line, and must not put off its showing for ever.
    const isSameLine = lines.length === 0 && text.length > 0;
    if (!isSameLine) before?.timer.cancel();
    if (text.length === 0) this.#rests.delete(key);
    else {
      const timer =
        (isSameLine ? before?.timer : undefined) ??
        systemClock.after(PATIENCE_MS, () => this.#flush(rank, key));
      this.#rests.set(key, {rest: Buffer.from(text), timer});
    }
  }

  /** Shows all that has no end. */
  end(): void {
    for (const key of [...this.#rests.keys()]) this.#flush(Number.parseInt(key, 10), key);
  }

  #flush(rank: number, key: string): void {
    const {rest, timer} = this.#rests.get(key) ?? {};
    timer?.cancel();
    this.#rests.delete(key);
    if (rest !== undefined && rest.length > 0) this.#print(rank, [rest]);
  }

  #print(rank: number, lines: readonly Buffer[]): void {
    const colour = COLOURS[rank % COLOURS.length];
    const prefix = this.#colours ? `\x1b[${colour}m[${rank}]\x1b[0m ` : `[${rank}] `;
    const pieces = lines.map(lastState).flatMap((line) => {
      const reset = line.includes(ESC) ? '\x1b[0m' : '';
      return [Buffer.from(prefix), line, Buffer.from(`${reset}\n`)];
    });
    this.#show(Buffer.concat(pieces));
  }
}

/** A progress bar writes its line again and again, each time after a carriage return: a terminal shows the last one. */
function lastState(line: Buffer): Buffer {
  let end = line.length;
  while (end > 0 && line[end - 1] === CR) end -= 1;
  const start = line.subarray(0, end).lastIndexOf(CR) + 1;
  return line.subarray(start, end);
}
