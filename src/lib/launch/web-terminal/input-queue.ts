// The queue of input for the pseudo-terminal: it writes as much as the terminal accepts, and the rest when it accepts more.
//
// node-pty 1.1 writes through libuv's TTY stream, which for the master of a pseudo-terminal retries on this thread
// until everything is written. A shell that waits until its own output is read never continues to read, and the process would
// hang.
import {systemCode} from '../../core/errors.js';

/** With this many waiting bytes pages must stop sending until there are fewer. */
const MUCH = 64 * 1_024;
const FIRST_WAIT_MS = 2;
const LONGEST_WAIT_MS = 50;

export class InputQueue {
  readonly #write: (bytes: Uint8Array) => number;
  #waiting: Uint8Array[] = [];
  #bytes = 0;
  #timer: NodeJS.Timeout | undefined;
  #waitMs = FIRST_WAIT_MS;
  #room: PromiseWithResolvers<void> | undefined;
  #closed = false;

  /** `write` returns how many bytes were taken, or throws EAGAIN; it does not block. */
  constructor(write: (bytes: Uint8Array) => number) {
    this.#write = write;
  }

  push(bytes: Uint8Array): void {
    if (this.#closed || bytes.length === 0) return;
    this.#waiting.push(bytes);
    this.#bytes += bytes.length;
    if (this.#timer === undefined) this.#flush();
  }

  /** Undefined while there is room; else resolves when there is room, or when nothing will be written any more. */
  get full(): Promise<void> | undefined {
    if (this.#bytes < MUCH) return undefined;
    this.#room ??= Promise.withResolvers();
    return this.#room.promise;
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#waiting = [];
    this.#bytes = 0;
    this.#giveRoom();
  }

  #flush(): void {
    this.#timer = undefined;
    while (!this.#closed) {
      const [first] = this.#waiting;
      if (first === undefined) break;
      const taken = this.#take(first);
      if (taken === undefined) {
        this.close();
        return;
      }
      this.#bytes -= taken;
      if (taken === first.length) {
        this.#waiting.shift();
        this.#waitMs = FIRST_WAIT_MS;
        continue;
      }
      this.#waiting[0] = first.subarray(taken);
      this.#waitMs = taken > 0 ? FIRST_WAIT_MS : Math.min(this.#waitMs * 2, LONGEST_WAIT_MS);
      this.#timer = setTimeout(() => this.#flush(), this.#waitMs);
      break;
    }
    if (this.#bytes < MUCH) this.#giveRoom();
  }

  /** Undefined when it has ended. */
  #take(bytes: Uint8Array): number | undefined {
    try {
      return this.#write(bytes);
    } catch (error) {
      return systemCode(error) === 'EAGAIN' ? 0 : undefined;
    }
  }

  #giveRoom(): void {
    this.#room?.resolve();
    this.#room = undefined;
  }
}
