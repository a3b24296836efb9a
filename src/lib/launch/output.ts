// Keeps the end of a program's output, limited in lines and bytes, without the program's secrets.
import {StringDecoder} from 'node:string_decoder';
import {stripVTControlCharacters} from 'node:util';

const MAX_LINES = 100;
const MAX_LINE_CHARS = 1_000;
const MAX_CHARS = 16_384;

const MASK = '…';
// biome-ignore lint/suspicious/noControlCharactersInRegex: taking them out is the point.
const CONTROL = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g;

/** Removes the given secrets from a text. Short strings stay, because they would remove ordinary words. */
export function redact(text: string, secrets: readonly string[], mask = MASK): string {
  let result = text;
  for (const secret of secrets) if (secret.length >= 6) result = result.replaceAll(secret, mask);
  return result;
}

/** One of the program's two outputs, cut into lines. Of a line without an end, the last `maxPartial` characters stay. */
class LineReader {
  readonly #decoder = new StringDecoder('utf8');
  readonly #maxPartial: number;
  #partial = '';

  constructor(maxPartial = MAX_LINE_CHARS) {
    this.#maxPartial = maxPartial;
  }

  read(chunk: Buffer): string[] {
    const lines = (this.#partial + this.#decoder.write(chunk)).split('\n');
    this.#partial = (lines.pop() ?? '').slice(-this.#maxPartial);
    return lines;
  }

  get partial(): string {
    return this.#partial;
  }
}

export type OutputName = 'stdout' | 'stderr';
/** Gets the output as bytes, because a program may write in any encoding. */
export type OutputSink = (bytes: Buffer, stream: OutputName) => void;

export interface PassedOn {
  push(stream: OutputName, chunk: Buffer): void;
  /** Passes on the bytes that are held back. */
  end(): void;
}

/** A line without an end is held back up to this length. It is longer than any secret. */
const MAX_HELD_BYTES = 65_536;

/**
 * Passes on every byte of the output, except secrets. With secrets it goes line by line, so that none can be split between
 * chunks; without secrets nothing is held back, so prompts and progress bars appear at once.
 */
export function passOn(sink: OutputSink, secrets: readonly string[]): PassedOn {
  if (secrets.length === 0) return {push: (stream, chunk) => sink(chunk, stream), end: () => {}};
  // In latin1 each byte is one character, so bytes that are no UTF-8 stay as they are.
  const hidden = secrets.map((secret) => Buffer.from(secret).toString('latin1'));
  const mask = Buffer.from(MASK).toString('latin1');
  const held = {stdout: '', stderr: ''};
  const pass = (stream: OutputName, text: string) => {
    if (text !== '') sink(Buffer.from(redact(text, hidden, mask), 'latin1'), stream);
  };
  return {
    push: (stream, chunk) => {
      const text = held[stream] + chunk.toString('latin1');
      const lineEnd = text.lastIndexOf('\n') + 1;
      const end = text.length - lineEnd > MAX_HELD_BYTES ? endOutside(text, hidden) : lineEnd;
      held[stream] = text.slice(end);
      pass(stream, text.slice(0, end));
    },
    end: () => {
      for (const stream of ['stdout', 'stderr'] as const) {
        pass(stream, held[stream]);
        held[stream] = '';
      }
    },
  };
}

/** A position at which the text can be cut without cutting a secret. */
function endOutside(text: string, secrets: readonly string[]): number {
  let end = text.length - Math.max(...secrets.map(({length}) => length));
  for (const secret of secrets) {
    const at = text.lastIndexOf(secret, end);
    if (at >= 0 && at + secret.length > end) end = at;
  }
  return Math.max(0, end);
}

/** Keeps the last lines of both outputs. */
export class OutputTail {
  readonly #readers = {stdout: new LineReader(), stderr: new LineReader()};
  readonly #secrets: readonly string[];
  #lines: string[] = [];
  #chars = 0;

  constructor(secrets: readonly string[] = []) {
    this.#secrets = secrets;
  }

  push(stream: OutputName, chunk: Buffer): void {
    // Only the end of a flood can be kept, so the rest is not even read.
    const tail = chunk.length > 2 * MAX_CHARS ? chunk.subarray(-MAX_CHARS) : chunk;
    for (const line of this.#readers[stream].read(tail)) this.#keep(line);
  }

  /** The last lines, oldest first, with unfinished ones; printable, without colours and secrets. */
  lines(count = MAX_LINES): string[] {
    return [...this.#lines, this.#readers.stdout.partial, this.#readers.stderr.partial]
      .map((line) => redact(stripVTControlCharacters(line).replaceAll(CONTROL, ''), this.#secrets).trimEnd())
      .filter((line) => line !== '')
      .slice(-count);
  }

  #keep(line: string): void {
    const kept = line.slice(0, MAX_LINE_CHARS);
    this.#lines.push(kept);
    this.#chars += kept.length;
    while (this.#lines.length > MAX_LINES || this.#chars > MAX_CHARS) {
      this.#chars -= this.#lines.shift()?.length ?? 0;
    }
  }
}
