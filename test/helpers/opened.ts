// A stream that an agent opens in a test: its bytes, and promises for its ends.

import type {Stream, StreamSink} from '../../src/lib/mux/stream.js';

export interface Refusal {
  code: string;
  message: string | undefined;
}

export class Opened implements StreamSink {
  stream: Stream | undefined;
  bytes = 0;
  /** The bytes that came, while `keeps` is true. */
  heard = '';
  keeps = true;
  #writable: (() => void) | undefined;
  #wanted: {holds: () => boolean; resolve: () => void} | undefined;
  readonly #ended = Promise.withResolvers<void>();
  readonly #refused = Promise.withResolvers<Refusal>();
  readonly #accepted = Promise.withResolvers<void>();

  /** Resolves when the peer has sent all. */
  readonly ended = this.#ended.promise;
  /** Resolves when the stream is refused or reset. */
  readonly refused = this.#refused.promise;
  readonly accepted = this.#accepted.promise;

  /** For `Agent.open`. */
  readonly onOpen = (stream: Stream): void => {
    this.stream = stream;
    stream.sink = this;
  };

  onData(piece: Buffer): void {
    this.bytes += piece.length;
    if (this.keeps) this.heard += piece.toString();
    this.stream?.consumed(piece.length);
    this.#look();
  }

  onEnd(): void {
    this.#ended.resolve();
  }

  onWritable(): void {
    this.#writable?.();
  }

  onOpened(): void {
    this.#accepted.resolve();
  }

  onReset(code: string, message?: string): void {
    this.#refused.resolve({code, message});
  }

  /** Resolves when the stream takes more. */
  async write(text: string): Promise<void> {
    if (this.stream?.write(Buffer.from(text)) !== false) return;
    await new Promise<void>((resolve) => {
      this.#writable = resolve;
    });
  }

  async until(holds: () => boolean): Promise<void> {
    if (holds()) return;
    await new Promise<void>((resolve) => {
      this.#wanted = {holds, resolve};
    });
  }

  /** Writes the text and waits until all of it has come back. */
  async echo(text: string): Promise<void> {
    const wanted = this.heard + text;
    await this.write(text);
    await this.until(() => this.heard === wanted);
  }

  #look(): void {
    if (this.#wanted?.holds()) this.#wanted.resolve();
  }
}
