// The splice of a probe. Probes count for no owner, no tunnel and no bandwidth, so each may take only what a probe needs: a secret
// in one direction, and a line in the other.

import type {Socket} from 'node:net';
import {Splice, type SpliceOptions} from '../../bytes/splice.js';
import type {Clock, Timer} from '../../core/clock.js';
import type {Stream} from '../../mux/stream.js';

/** The bytes of one direction. */
const MOST_BYTES = 1_024;
/** An agent takes 5 s at the most, and a dialler waits less, ms. */
const MOST_MS = 10_000;

export class ProbeSplice extends Splice {
  readonly #source: Stream;
  readonly #timer: Timer;

  constructor(options: SpliceOptions, clock: Pick<Clock, 'after'>) {
    super({
      ...options,
      // The options may be an object of a class, whose methods are not copied.
      reset: () => options.reset(),
      onDone: (code) => {
        this.#timer.cancel();
        options.onDone(code);
      },
    });
    this.#source = options.stream;
    this.#timer = clock.after(MOST_MS, () => this.cut('CANCELLED'));
  }

  override join(socket: Socket): void {
    super.join(socket);
    socket.on('data', () => {
      if (this.#source.bytesOut > MOST_BYTES) this.cut('CANCELLED');
    });
  }

  override onData(piece: Buffer): void {
    if (this.#source.bytesIn > MOST_BYTES) this.cut('CANCELLED');
    else super.onData(piece);
  }
}
