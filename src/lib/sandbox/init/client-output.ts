// One output of a process inside, as its caller reads it.

import {StreamDuplex} from '../../bytes/stream-duplex.js';
import type {Clock, Timer} from '../../core/clock.js';
import type {Stream} from '../../mux/stream.js';
import type {StreamCode} from '../../protocol/wire.js';
import {ended} from './ended.js';

/** After the end of a process the end of its output must come within this time, ms. An honest server sends it first. */
const SILENT_MS = 2_000;

export class ClientOutput {
  readonly duplex: StreamDuplex;
  readonly #clock: Clock;
  #isOver = false;
  #timer: Timer | undefined;
  readonly #settled = Promise.withResolvers<void>();

  constructor(stream: Stream, clock: Clock) {
    this.#clock = clock;
    this.duplex = new StreamDuplex(stream, {toError: outputError, onArrived: () => this.#finish()});
    this.duplex.on('close', () => this.#finish());
    this.duplex.end();
  }

  /**
   * The process has ended. Resolves when all of the output has arrived, or nothing more arrives. An output whose end never comes
   * is cut off; one that nobody reads yet is kept.
   */
  settle(): Promise<void> {
    if (!this.#isOver) this.#watch(this.duplex.stream.bytesIn);
    return this.#settled.promise;
  }

  #watch(before: number): void {
    this.#timer = this.#clock.after(SILENT_MS, () => {
      const {bytesIn, unreadBytes} = this.duplex.stream;
      if (bytesIn === before) {
        this.#settled.resolve();
        if (unreadBytes === 0) {
          this.duplex.destroy(cutOff());
          return;
        }
      }
      this.#watch(bytesIn);
    });
  }

  #finish(): void {
    this.#isOver = true;
    this.#timer?.cancel();
    this.#settled.resolve();
  }
}

function outputError(code: StreamCode): Error {
  return code === 'SESSION_ENDED' ? ended() : cutOff();
}

function cutOff(): Error {
  return Object.assign(new Error('the output of the process was cut off'), {code: 'ECONNRESET'});
}
