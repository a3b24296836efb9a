// Moves the bytes of one direction of one connection of a fault proxy, according to the plan at every byte.
import type {Socket} from 'node:net';
import type {DirectionPlan} from './fault-plan.js';

export interface FaultPumpOptions {
  from: Socket;
  to: Socket;
  plan: DirectionPlan;
  onBytes: (bytes: number) => void;
}

/** How many bytes may wait inside the pump before it stops reading; a delayed direction also holds the bytes under way. */
const quietCapBytes = 64 * 1024;
const delayedCapBytes = 32 * 1024 * 1024;

interface Held {
  /** Undefined is the end of the direction. */
  bytes: Buffer | undefined;
  dueAtMs: number;
}

export class FaultPump {
  readonly #from: Socket;
  readonly #to: Socket;
  readonly #plan: DirectionPlan;
  readonly #onBytes: (bytes: number) => void;
  readonly #queue: Held[] = [];
  #queuedBytes = 0;
  #writable = true;
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;
  #cutting = false;
  #deaf = false;
  #lost = false;
  #pendingFailure: (() => void) | undefined;

  constructor(options: FaultPumpOptions) {
    this.#from = options.from;
    this.#to = options.to;
    this.#plan = options.plan;
    this.#onBytes = options.onBytes;
    this.#from.on('data', (chunk: Buffer) => this.#take(chunk));
    this.#from.on('end', () => this.#take(undefined));
    this.#to.on('drain', () => {
      this.#writable = true;
      this.wake();
    });
    this.#from.resume();
  }

  /** Bytes of this direction were dropped: the connection is incomplete for ever. */
  get lost(): boolean {
    return this.#lost;
  }

  /** Something has changed: passes on the bytes that may go now. */
  wake(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    while (!this.#stopped && !this.#cutting && !this.#deaf && this.#plan.silent === undefined) {
      if (!this.#step()) break;
    }
    if (this.#stopped) return;
    if (this.#plan.silent === undefined && !this.#deaf && this.#pendingFailure !== undefined) {
      const failure = this.#pendingFailure;
      this.#pendingFailure = undefined;
      failure();
      return;
    }
    const cap = this.#plan.delayMs > 0 ? delayedCapBytes : quietCapBytes;
    if (this.#queuedBytes >= cap) this.#from.pause();
    else this.#from.resume();
  }

  /** The source failed. This is passed on at once, or after a `hold` has ended, or never. */
  fail(passOn: () => void): void {
    if (this.#stopped || this.#deaf) return;
    if (this.#plan.silent === undefined) passOn();
    else this.#pendingFailure = passOn;
  }

  /** From now on reads and discards everything, whatever the plan says. */
  silenceForGood(): void {
    this.#deaf = true;
    this.#lost = true;
    this.#queue.length = 0;
    this.#queuedBytes = 0;
    this.#from.resume();
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
    this.#queue.length = 0;
  }

  #take(bytes: Buffer | undefined): void {
    if (this.#stopped) return;
    if (this.#deaf || this.#plan.silent === 'drop') {
      this.#lost = true;
      return;
    }
    this.#queue.push({bytes, dueAtMs: this.#plan.delayMs > 0 ? performance.now() + this.#plan.delayMs : 0});
    this.#queuedBytes += bytes?.length ?? 0;
    this.wake();
  }

  /** Passes on the head of the queue, or a part of it. False: nothing more may go now. */
  #step(): boolean {
    const head = this.#queue[0];
    if (head === undefined) return false;
    if (head.dueAtMs > 0) {
      const waitMs = head.dueAtMs - performance.now();
      if (waitMs > 0) return this.#later(waitMs);
    }
    if (head.bytes === undefined) {
      this.#queue.shift();
      if (!this.#to.destroyed) this.#to.end();
      return true;
    }
    if (!this.#writable) return false;
    const {bytes, waitMs} = this.#plan.allow(head.bytes.length);
    if (waitMs > 0) return this.#later(waitMs);
    const piece = head.bytes.subarray(0, bytes);
    if (bytes === head.bytes.length) this.#queue.shift();
    else head.bytes = head.bytes.subarray(bytes);
    this.#queuedBytes -= bytes;
    const cut = this.#plan.spent(bytes);
    this.#cutting = cut !== undefined;
    // A reset would discard bytes that the kernel has not taken yet, so the cut waits for the last byte before it.
    if (!this.#to.destroyed) this.#writable = this.#to.write(piece, cut && (() => cut(this)));
    else cut?.(this);
    if (bytes > 0) this.#onBytes(bytes);
    return true;
  }

  #later(ms: number): false {
    this.#timer = setTimeout(() => this.wake(), Math.ceil(ms));
    return false;
  }
}
