// The end of a probe that has come through a relay: only somebody who was given a secret gets an answer, and once.

import type {Clock, Timer} from '../core/clock.js';
import {PROBE_ANSWER, PROBE_SECRET_DIGITS} from '../protocol/probe.js';
import {newSecret} from './proof.js';
import type {Stream} from './stream.js';

/** From the stream to its secret, ms. */
const SECRET_MS = 5_000;
/** Streams that have not shown their secret yet. Strangers can open them, but only while a probe is due. */
const MOST_SILENT = 64;

export interface ProbeSecret extends Disposable {
  readonly secret: string;
}

export class ProbeSecrets {
  readonly #clock: Clock;
  readonly #answers: boolean;
  readonly #issued = new Map<string, () => void>();
  #silent = 0;

  /** @param answers false: the arrival is enough, and the stream ends at once. */
  constructor(clock: Clock, {answers}: {answers: boolean}) {
    this.#clock = clock;
    this.#answers = answers;
  }

  /** @param onArrived called when a stream has shown this secret. */
  issue(onArrived: () => void): ProbeSecret {
    const secret = newSecret();
    this.#issued.set(secret, onArrived);
    return {secret, [Symbol.dispose]: () => void this.#issued.delete(secret)};
  }

  /** Takes a visitor's stream whose protocol is that of probes. It is refused without a valid secret. */
  answer(stream: Stream): void {
    stream.isProbe = true;
    if (this.#issued.size === 0 || this.#silent >= MOST_SILENT) {
      stream.refuse('CANCELLED');
      return;
    }
    this.#silent += 1;
    let text = '';
    let isOver = false;
    const over = () => {
      if (isOver) return;
      isOver = true;
      this.#silent -= 1;
      timer.cancel();
    };
    const timer: Timer = this.#clock.after(SECRET_MS, () => {
      over();
      stream.refuse('CANCELLED');
    });
    const end = () => {
      over();
      stream.refuse('CANCELLED');
    };
    stream.sink = {
      onData: (piece) => {
        stream.consumed(piece.length);
        if (isOver) return;
        text += piece.toString('latin1', 0, PROBE_SECRET_DIGITS);
        if (text.length < PROBE_SECRET_DIGITS) return;
        const onArrived = this.#issued.get(text);
        if (onArrived === undefined) return end();
        this.#issued.delete(text);
        if (this.#answers) {
          over();
          stream.accept();
          stream.write(PROBE_ANSWER);
          stream.end();
        } else end();
        onArrived();
      },
      onEnd: () => {
        if (!isOver) end();
      },
      onWritable: () => {},
      onReset: over,
    };
  }
}
