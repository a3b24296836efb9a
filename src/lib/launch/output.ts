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
export function redact(text: string, secrets: readonly string[]): string {
  let result = text;
  for (const secret of secrets) if (secret.length >= 6) result = result.replaceAll(secret, MASK);
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
export type OutputSink = (text: string, stream: OutputName) => void;

/**
 * Passes on the output as text. With secrets it goes line by line, so that none can be split between chunks;
 * without secrets nothing is held back, so prompts and progress bars appear at once.
 */
export function passOn(
  sink: OutputSink,
  secrets: readonly string[],
): (stream: OutputName, chunk: Buffer) => void {
  if (secrets.length === 0) {
    const decoders = {stdout: new StringDecoder('utf8'), stderr: new StringDecoder('utf8')};
    return (stream, chunk) => sink(decoders[stream].write(chunk), stream);
  }
  const readers = {stdout: new LineReader(65_536), stderr: new LineReader(65_536)};
  return (stream, chunk) => {
    for (const line of readers[stream].read(chunk)) sink(`${redact(line, secrets)}\n`, stream);
  };
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
