// One attempt to reach a relay: its steps share a deadline and an abort signal, and none leaves a socket behind.

import {type Clock, systemClock} from '../core/clock.js';
import {type ErrorCode, TunlError} from '../core/errors.js';

export interface AttemptOptions {
  timeoutMs: number;
  signal?: AbortSignal | undefined;
  clock?: Clock | undefined;
  /** The peer's name in the error of the deadline. */
  label: string;
}

/** One step of the attempt, with the error for the case that the deadline passes in it. */
export interface Step {
  name: string;
  code?: ErrorCode;
}

/** Settles a step; later calls do nothing. */
export interface Settle<T> {
  done(value: T): void;
  fail(error: TunlError): void;
}

export class Attempt implements Disposable {
  readonly #stop = new AbortController();
  readonly #release: () => void;
  #step: Step = {name: 'start'};

  constructor({timeoutMs, signal, clock = systemClock, label}: AttemptOptions) {
    const onAbort = () => this.#stop.abort(new TunlError('ABORTED', {cause: signal?.reason}));
    const timer = clock.after(timeoutMs, () => {
      const reason = `No answer from ${label} within ${timeoutMs / 1000} s (${this.#step.name}).`;
      this.#stop.abort(new TunlError(this.#step.code ?? 'RELAY_TIMEOUT', {reason}));
    });
    signal?.addEventListener('abort', onAbort, {once: true});
    this.#release = () => {
      timer.cancel();
      signal?.removeEventListener('abort', onAbort);
    };
    if (signal?.aborted) onAbort();
  }

  entering(step: Step): void {
    this.#step = step;
  }

  /**
   * Runs `start` until it settles. `start` returns a function that undoes its work; it is called when the step fails by
   * itself, by the deadline or by the signal.
   */
  run<T>(step: Step, start: (settle: Settle<T>) => () => void): Promise<T> {
    this.entering(step);
    const {signal} = this.#stop;
    return new Promise((resolve, reject) => {
      let undo: (() => void) | undefined;
      let outcome: 'pending' | 'done' | 'failed' = 'pending';
      const fail = (error: unknown) => {
        if (outcome !== 'pending') return;
        outcome = 'failed';
        signal.removeEventListener('abort', onAbort);
        undo?.();
        reject(error);
      };
      const done = (value: T) => {
        if (outcome !== 'pending') return;
        outcome = 'done';
        signal.removeEventListener('abort', onAbort);
        resolve(value);
      };
      const onAbort = () => fail(signal.reason);
      signal.addEventListener('abort', onAbort, {once: true});
      try {
        undo = start({done, fail});
        // The step may have failed before it returned its undo function, or the deadline passed before it began.
        if ((outcome as string) === 'failed') undo();
        else if (signal.aborted) onAbort();
      } catch (error) {
        fail(error);
      }
    });
  }

  [Symbol.dispose](): void {
    this.#release();
  }
}
