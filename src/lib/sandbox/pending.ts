// Calls that wait for something inside a sandbox: its end settles all of them, with its reason.

import {TunlError} from '../core/errors.js';

export class PendingCalls {
  readonly #rejects = new Set<(error: Error) => void>();
  #over: Error | undefined;

  /**
   * Settles as `call` does, or rejects with the error of `end`, whichever comes first.
   *
   * @param late gets a result that nobody waits for any more.
   */
  async race<T>(call: Promise<T>, late?: (value: T) => void): Promise<T> {
    const {promise, resolve, reject} = Promise.withResolvers<T>();
    if (this.#over === undefined) this.#rejects.add(reject);
    else reject(this.#over);
    call.then(
      (value) => {
        if (this.#rejects.delete(reject)) resolve(value);
        else late?.(value);
      },
      (error: unknown) => {
        // The backend knows that the sandbox is gone a little before the reason is known.
        if (error instanceof TunlError && error.code === 'SANDBOX_ENDED') return;
        if (this.#rejects.delete(reject)) reject(error);
      },
    );
    return await promise;
  }

  /** Rejects what waits now and all later calls. Idempotent: the first error stays. */
  end(error: Error): void {
    this.#over ??= error;
    const all = [...this.#rejects];
    this.#rejects.clear();
    for (const reject of all) reject(this.#over);
  }
}
