// Flow control of one direction of one stream, as pure values: how much may still be sent, and when to grant more credit.

import {LIMITS} from '../protocol/wire.js';
import type {GrownWindow, WindowBudget} from './window-budget.js';

/** The sending half: how many bytes the peer still accepts. */
export class SendWindow {
  #available: number;

  constructor(initial: number = LIMITS.initialWindow) {
    this.#available = initial;
  }

  get available(): number {
    return this.#available;
  }

  /** `bytes` are sent. They must not exceed `available`: the caller splits. */
  spend(bytes: number): void {
    if (bytes > this.#available) throw new RangeError('more bytes than window');
    this.#available -= bytes;
  }

  /** The peer granted more. Returns false when the sum is larger than any allowed window: a violation. */
  grant(bytes: number): boolean {
    if (bytes <= 0 || this.#available + bytes > LIMITS.maxCredit) return false;
    this.#available += bytes;
    return true;
  }
}

/** Consumed bytes are granted again at this amount at the latest: on a long link, half of a large window would be too late. */
const MOST_PENDING_BYTES = 1024 * 1024;

/**
 * On a short link a window is used up quickly even if nobody reads, as long as the kernel's buffers take the bytes: 10 MB
 * with usual limits. More than that without a pause proves that somebody reads.
 */
const SHORT_LINK_MS = 20;
/** On a short link a stream that takes longer for a window does not need a larger one: other streams slow it down. */
const SHORT_LINK_IN_TIME_MS = 8;
const READ_BY_SOMEBODY_BYTES = 16 * 1024 * 1024;
/** On a short link a larger window only fills memory. */
const SHORT_LINK_WINDOW = 4 * 1024 * 1024;

/**
 * The receiving half. Credit follows consumption, and is granted from half a window on, or MOST_PENDING_BYTES. A window that
 * is used up within four round trips is too small for the link and doubles (as in rust-yamux, which requires two), up to
 * `maxWindow` and within the budget. Short links have other bounds.
 */
export class ReceiveWindow implements GrownWindow {
  readonly #budget: WindowBudget;
  #size: number = LIMITS.initialWindow;
  #grown = 0;
  /** Bytes that the peer may still send. */
  #allowance: number = LIMITS.initialWindow;
  /** Bytes that are consumed and not granted again yet. */
  #pending = 0;
  /** Credit of the peer beyond the size, because the window was made smaller. This many consumed bytes are not granted again. */
  #overhang = 0;
  /** Bytes of the overhang that came and are not consumed. The budget counts them like growth. */
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

  /** Bytes that are received and not consumed: the memory of this stream. */
  get unread(): number {
    return this.#size + this.#overhang - this.#allowance - this.#pending;
  }

  /** Counts received bytes. Returns false when the peer had no credit for them: a violation. */
  receive(bytes: number): boolean {
    if (bytes > this.#allowance) return false;
    this.#allowance -= bytes;
    return true;
  }

  /** True when the budget has memory for the received bytes. Only a window that was made smaller can exceed it. */
  get fits(): boolean {
    if (this.#overhang === 0) return true;
    const more = this.unread - this.#size - this.#charged;
    if (more <= 0) return true;
    if (!this.#budget.charge(this, more)) return false;
    this.#charged += more;
    return true;
  }

  /**
   * `bytes` were passed on and are out of our memory. A number above the unread bytes counts as the unread bytes.
   * @param now ms, monotonic. @param growWithinMs a full window that is used within this time doubles.
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

  /** The same after the peer's end: `bytes` are out of our memory, and no credit is sent. */
  drain(bytes: number): void {
    this.#pending += Math.min(bytes, this.unread);
    if (this.#overhang > 0) this.#withhold();
  }

  /** The most that `shrink` may take: growth that holds no unread bytes. */
  get spare(): number {
    return Math.min(this.#grown, this.#size - Math.max(this.unread, LIMITS.initialWindow));
  }

  /**
   * Makes the window smaller by `bytes`, at most `spare`. The budget gets them back now; the peer's credit shrinks as bytes
   * are consumed.
   */
  shrink(bytes: number): void {
    this.#size -= bytes;
    this.#grown -= bytes;
    this.#overhang += bytes;
    this.#budget.give(bytes);
    if (this.#grown === 0) this.#budget.forget(this);
  }

  /** Gives all growth back to the budget. Idempotent. */
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

  /** Reduces the charge when less of the overhang is unread than the budget counts. */
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
    // The peer needs no new credit for bytes that were granted before.
    const granted = Math.min(more, this.#overhang);
    this.#overhang -= granted;
    this.#pending += more - granted;
    if (this.#charged > 0) this.#settleCharge();
  }
}
