// A stream of a session that carries lines of JSON in both directions.

import type {Stream, StreamSink} from '../../mux/stream.js';
import {MalformedMessage} from '../../protocol/fields.js';
import {encodeLine, LineReader} from '../../protocol/lines.js';
import type {StreamCode} from '../../protocol/wire.js';

export interface LineEvents {
  /** May throw MalformedMessage. */
  onLine(line: Buffer): void;
  /** The peer sent something that cannot be read. Nothing more is read; the owner resets the stream, or ends the session. */
  onMalformed(error: MalformedMessage): void;
  /** The stream is over. Called once. `code`: it was reset, or its session has ended. */
  onOver(code: StreamCode | undefined, message: string | undefined): void;
  /** The peer sends no more lines. */
  onEnd?(): void;
  onOpened?(): void;
}

export class LineStream implements StreamSink {
  readonly #stream: Stream;
  readonly #reader: LineReader;
  readonly #events: LineEvents;
  #stopped = false;

  /** @param limit bytes of one line of the peer. */
  constructor(stream: Stream, limit: number, events: LineEvents) {
    this.#stream = stream;
    this.#reader = new LineReader(limit);
    this.#events = events;
    stream.sink = this;
  }

  send(value: object): void {
    this.#stream.write(encodeLine(value));
  }

  end(): void {
    this.#stream.end();
  }

  /** Idempotent. `onOver` is not called. */
  reset(code: StreamCode): void {
    this.#stopped = true;
    this.#stream.reset(code);
  }

  onData(piece: Buffer): void {
    this.#stream.consumed(piece.length);
    if (this.#stopped) return;
    this.#reader.push(piece);
    try {
      for (let line = this.#reader.next(); line !== undefined; line = this.#reader.next()) {
        this.#events.onLine(line);
        if (this.#stopped) return;
      }
    } catch (error) {
      if (!(error instanceof MalformedMessage)) throw error;
      this.#stopped = true;
      this.#events.onMalformed(error);
    }
  }

  onEnd(): void {
    this.#events.onEnd?.();
  }

  onOpened(): void {
    this.#events.onOpened?.();
  }

  /** Lines are few and short, so that they may wait for the window. */
  onWritable(): void {}

  onReset(code: StreamCode, message?: string): void {
    if (!this.#stopped) this.#events.onOver(code, message);
    this.#stopped = true;
  }

  onClosed(): void {
    if (!this.#stopped) this.#events.onOver(undefined, undefined);
    this.#stopped = true;
  }
}
