// One connection without rights, from the accept until it has rights or is gone: its deadline, its step, its memory.

import type {Socket} from 'node:net';
import {letGo} from '../../bytes/let-go.js';
import {resetSocket} from '../../bytes/reset.js';
import type {Timer} from '../../core/clock.js';
import type {ListNode} from '../../core/linked-list.js';
import type {Peer} from './peer.js';
import type {PendingConnections, Step} from './pending.js';

/** Limit from the accept to a session, a tunnel or an answer, ms. */
const WHOLE_MS = 10_000;
/** Limit for the handshake of a visitor that waited for its tunnel, ms. */
const AFTER_WAIT_MS = 5_000;

/** The memory of a connection while its ClientHello is read, and after TLS has begun: measured, rounded up. */
export const BARE_BYTES = 4 * 1024;
/** Buffers grow by doubling, and their old memory is garbage for a while. */
const BUFFER_FACTOR = 4;
const TLS_BYTES = 64 * 1024;

const ignore = (): void => {};
/** A listener of `close`. */
function letGoThis(this: Socket): void {
  letGo(this);
}

export class PendingConnection {
  readonly peer: Peer;
  readonly raw: Socket;
  /** The TLS socket on top of it, from its handshake on. */
  secure: Socket | undefined;
  step: Step = 'hello';
  #next: Step = 'hello';
  #known = false;
  bytes = 0;
  /** Its place among the connections of its source. */
  node: ListNode<PendingConnection> | undefined;
  /** Holds the bytes of its ClientHello. They are released at once when it ends, because `close` comes later. */
  hello: {release(): void} | undefined;
  readonly #all: PendingConnections;
  readonly #since: number;
  /** Its deadline, ms after the accept. */
  #mostMs: number;
  #timer: Timer;
  #over = false;
  #cut = false;

  constructor(
    all: PendingConnections,
    raw: Socket,
    peer: Peer,
    {helloMs, ageMs}: {helloMs: number; ageMs: number},
  ) {
    this.#all = all;
    this.raw = raw;
    this.peer = peer;
    this.#since = all.clock.now() - ageMs;
    this.#mostMs = helloMs;
    this.#timer = all.clock.after(Math.max(0, helloMs - ageMs), this.#onTime);
    raw.on('error', ignore);
    raw.on('close', this.#onClose);
    raw.on('close', letGoThis);
  }

  /** True when it has rights or is gone. */
  get over(): boolean {
    return this.#over;
  }

  /** True when the relay has reset it. */
  get cut(): boolean {
    return this.#cut;
  }

  /** The time since the accept, ms. */
  get ageMs(): number {
    return this.#all.clock.now() - this.#since;
  }

  /** Sets the number of kept bytes of its ClientHello. */
  holds(bytes: number): void {
    if (!this.#over) this.#all.resize(this, BARE_BYTES + BUFFER_FACTOR * bytes);
  }

  /** Its ClientHello is complete. */
  named(): void {
    this.#mostMs = Math.max(WHOLE_MS, this.#mostMs);
  }

  /** A TLS handshake comes next. Returns false, and ends the connection, when too many handshakes of its source have failed. */
  secures(step: 'visitor' | 'own'): boolean {
    if (!this.#mayGoOn(step)) return false;
    this.#next = step;
    this.#mostMs = Math.max(WHOLE_MS, this.#all.clock.now() - this.#since + AFTER_WAIT_MS);
    return true;
  }

  /** The turn of its handshake has come. Returns false when it has ended meanwhile, or when its source has no tokens left. */
  mayBegin(): boolean {
    if (!this.#mayGoOn(this.#next)) return false;
    if (!this.#all.beginHandshake(this)) {
      this.end();
      return false;
    }
    this.step = this.#next;
    this.#all.resize(this, TLS_BYTES);
    return !this.over;
  }

  #mayGoOn(step: Step): boolean {
    if (!this.#over && !this.#all.mayTake(this.peer, step)) this.end();
    return !this.over;
  }

  /** @param id the id in its token, known or not. */
  mayLogIn(id: string | undefined): boolean {
    return this.#all.mayLogIn(this.peer, id);
  }

  /** Time until the next token of this source, or with this id, is checked, ms. */
  loginWaitMs(id: string | undefined): number {
    return this.#all.loginWaitMs(this.peer, id);
  }

  /** Its token is being checked, until the returned function is called. Undefined: too many are being checked already. */
  beginCheck(): (() => void) | undefined {
    return this.#all.beginCheck(this.peer);
  }

  /** @param isUnknown nobody knows whose token it is. */
  loginFailed(id: string | undefined, isUnknown = true): void {
    this.#all.loginFailed(this.peer, id, isUnknown);
  }

  /** It has shown its owner. Its deadline stays, but its source is no longer charged. */
  recognise(): void {
    if (this.#over) return;
    this.#known = true;
    this.#all.proved(this.peer);
  }

  /** It has rights now, so these limits no longer apply. */
  enter(): void {
    this.#leave(false);
  }

  /** Resets the connection. */
  end(): void {
    if (this.#over) return;
    this.#cut = true;
    this.#leave(true);
    resetSocket(this.secure ?? this.raw, this.raw);
  }

  /** It has named a place where nobody waits. That costs its source as much as a failed visit of the relay's own name. */
  endAtNoPlace(): void {
    if (!this.#over) this.#all.missed(this.peer);
    this.end();
  }

  readonly #onClose = (): void => this.#leave(true);

  #leave(failed: boolean): void {
    if (this.#over) return;
    this.#over = true;
    this.#timer.cancel();
    this.raw.off('close', this.#onClose);
    this.#all.remove(this, failed && !this.#known);
    this.hello?.release();
    this.hello = undefined;
  }

  /** One timer is enough, because nearly all connections end before it fires. It is set again only when the deadline was moved. */
  readonly #onTime = (): void => {
    const {clock} = this.#all;
    const leftMs = this.#since + this.#mostMs - clock.now();
    if (leftMs > 0) this.#timer = clock.after(leftMs, this.#onTime);
    else this.end();
  };
}
