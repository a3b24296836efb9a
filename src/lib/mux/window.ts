// Flow control of one direction of one stream as pure values: what may still be sent, and when to grant more.

import {LIMITS} from '../protocol/wire.js';
import type {GrownWindow, WindowBudget} from './window-budget.js';

/** The sending half: how many bytes the peer still takes. */
export class SendWindow {
  #available: number;

  constructor(initial: number = LIMITS.initialWindow) {
    this.#available = initial;
  }

  get available(): number {
    return this.#available;
  }

  /** `bytes` go out. Never more than `available`: the caller splits. */
  spend(bytes: number): void {
    if (bytes > this.#available) throw new RangeError('more bytes than window');
    this.#available -= bytes;
  }

  /** The peer granted more. False when the sum is more than any window can be: a violation. */
  grant(bytes: number): boolean {
    if (bytes <= 0 || this.#available + bytes > LIMITS.maxCredit) return false;
    this.#available += bytes;
    return true;
  }
}

/** What is consumed is granted again from so much on, at the latest: half of a large window would be missing on a long link. */
const MOST_PENDING_BYTES = 1024 * 1024;

/**
 * On a short link a window is used up in no time as long as the kernel's buffers of a reader take it all, though nobody
 * reads: 10 MB, where a system has its usual limits. More than that without a pause is read by somebody.
 */
const SHORT_LINK_MS = 20;
/** A stream that takes longer for a window there has no use for a larger one: it waits for others, and would make them wait. */
const SHORT_LINK_IN_TIME_MS = 8;
const READ_BY_SOMEBODY_BYTES = 16 * 1024 * 1024;
/** A larger one there only fills memory. */
const SHORT_LINK_WINDOW = 4 * 1024 * 1024;

/**
 * The receiving half. Credit follows consumption, and is granted from half a window on, or MOST_PENDING_BYTES. A window that is used up
 * within four round trips is too small for the link and doubles (rust-yamux's auto-tuning, which asks for two), up to
 * `maxWindow` and as far as the budget goes. On a short link there are other bounds.
 */
export class ReceiveWindow implements GrownWindow {
  readonly #budget: WindowBudget;
  #size: number = LIMITS.initialWindow;
  #grown = 0;
  /** What the peer may still send. */
  #allowance: number = LIMITS.initialWindow;
  /** Consumed, not granted again yet. */
  #pending = 0;
  /** Credit that the peer has beyond the size, since the window was made smaller: what is consumed next is not granted again. */
  #overhang = 0;
  /** What of the overhang has come and is not consumed: it stands in the budget as growth does. */
  #charged = 0;
  #measured = 0;
  /** Bytes of windows in a row that were used up in time. */
  #run = 0;
  #measuredFrom: number;
  #usedAt: number;

  constructor(budget: WindowBudget, now: number) {
    this.#budget = budget;
    this.#measuredFrom = now;
    this.#usedAt = now;
  }

  get size(): number {
    return this.#size;
  }

  get usedAt(): number {
    return this.#usedAt;
  }

  /** Received and not consumed: what this stream holds in memory. */
  get unread(): number {
    return this.#size + this.#overhang - this.#allowance - this.#pending;
  }

  /** `bytes` came. False when the peer had no credit for them: a violation. */
  receive(bytes: number): boolean {
    if (bytes > this.#allowance) return false;
    this.#allowance -= bytes;
    return true;
  }

  /** Whether there is memory for what was received. Only a window that was made smaller may hold more than it is given. */
  get fits(): boolean {
    if (this.#overhang === 0) return true;
    const more = this.unread - this.#size - this.#charged;
    if (more <= 0) return true;
    if (!this.#budget.charge(this, more)) return false;
    this.#charged += more;
    return true;
  }

  /**
   * `bytes` were handed on and are out of our memory; more than is unread cannot be, and counts for nothing.
   * @param now ms, monotonic. @param growWithinMs use of a full window within this time doubles it.
   * @returns the credit to send now; 0: not yet.
   */
  consume(bytes: number, now: number, growWithinMs: number): number {
    const read = Math.min(bytes, this.unread);
    this.#usedAt = now;
    this.#pending += read;
    this.#measured += read;
    if (this.#overhang > 0) this.#withhold();
    if (this.#measured >= this.#size) {
      const isShort = growWithinMs < SHORT_LINK_MS;
      const inTime = now - this.#measuredFrom <= (isShort ? SHORT_LINK_IN_TIME_MS : growWithinMs);
      this.#run = inTime ? this.#run + this.#measured : 0;
      if (isShort ? this.#run >= READ_BY_SOMEBODY_BYTES && this.#size < SHORT_LINK_WINDOW : inTime)
        this.#grow(now);
      this.#measured = 0;
      this.#measuredFrom = now;
    }
    if (this.#pending < Math.min(this.#size / 2, MOST_PENDING_BYTES)) return 0;
    const credit = this.#pending;
    this.#pending = 0;
    this.#allowance += credit;
    return credit;
  }

  /** The same once the peer has ended: `bytes` are out of our memory, and nobody waits for credit. */
  drain(bytes: number): void {
    this.#pending += Math.min(bytes, this.unread);
    if (this.#overhang > 0) this.#withhold();
  }

  /** What `shrink` may take: growth that no unread byte stands in. */
  get spare(): number {
    return Math.min(this.#grown, this.#size - Math.max(this.unread, LIMITS.initialWindow));
  }

  /** Smaller by `bytes`, at most `spare`: the budget has them back now, the peer's credit for them is withheld as it reads on. */
  shrink(bytes: number): void {
    this.#size -= bytes;
    this.#grown -= bytes;
    this.#overhang += bytes;
    this.#budget.give(bytes);
  }

  /** Gives back what growth took. Idempotent. */
  release(): void {
    this.#budget.give(this.#grown + this.#charged);
    this.#budget.forget(this);
    this.#grown = 0;
    this.#charged = 0;
  }

  #withhold(): void {
    const withheld = Math.min(this.#pending, this.#overhang);
    this.#pending -= withheld;
    this.#overhang -= withheld;
    this.#settleCharge();
  }

  /** Less of the overhang is unread than was charged for. */
  #settleCharge(): void {
    const due = Math.max(0, Math.min(this.#charged, this.unread - this.#size));
    this.#budget.give(this.#charged - due);
    this.#charged = due;
  }

  #grow(now: number): void {
    const more = this.#size;
    if (this.#size + more > LIMITS.maxWindow || !this.#budget.grow(this, more, now)) return;
    this.#size += more;
    this.#grown += more;
    // For what the peer was granted already it needs no credit.
    const granted = Math.min(more, this.#overhang);
    this.#overhang -= granted;
    this.#pending += more - granted;
    if (this.#charged > 0) this.#settleCharge();
  }
}
