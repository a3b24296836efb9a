// After a restart of the relay, visitors wait a little for tunnels whose agents are expected back.

import type {Socket} from 'node:net';
import type {Clock, Timer} from '../../core/clock.js';
import type {LeaseKey} from '../leases/lease-store.js';
import type {Part} from '../part.js';
import type {Tunnel} from '../tunnels/tunnel-table.js';

/** The longest wait of a visitor, ms. Agents come back within a second or two. */
const WAIT_MS = 10_000;
/** After this time agents are not expected back any more, ms. */
const EXPECT_MS = 60_000;
const MAX_FOR_ONE = 256;
const MAX_IN_ALL = 4_096;

export class WaitingRoom implements Part {
  /** Gets the keys that nobody waits for any more: their agents came back, or did not. */
  onSettled: (keys: readonly LeaseKey[]) => void = () => {};
  readonly #clock: Clock;
  readonly #expected = new Map<LeaseKey, Set<(tunnel: Tunnel) => void>>();
  readonly #leases: {readonly expected: Iterable<LeaseKey>};
  #timer: Timer | undefined;
  #count = 0;

  /** @param leases has the leases of the previous process's agents. */
  constructor({leases, clock}: {leases: {readonly expected: Iterable<LeaseKey>}; clock: Clock}) {
    this.#leases = leases;
    this.#clock = clock;
  }

  start(): void {
    for (const key of this.#leases.expected) this.#expected.set(key, new Set());
    this.#timer = this.#clock.after(EXPECT_MS, () => {
      const keys = [...this.#expected.keys()];
      this.#expected.clear();
      this.onSettled(keys);
    });
  }

  /**
   * Holds `raw` until the tunnel is bound, or its time is over. Returns false when no agent is expected for this key, or when
   * too many visitors wait.
   */
  wait(
    key: LeaseKey,
    raw: Socket,
    onTunnel: (tunnel: Tunnel) => void,
    onLate: (raw: Socket) => void = (late) => late.resetAndDestroy(),
  ): boolean {
    const waiting = this.#expected.get(key);
    if (waiting === undefined || waiting.size >= MAX_FOR_ONE || this.#count >= MAX_IN_ALL) return false;
    const leave = () => {
      timer.cancel();
      raw.off('close', leave);
      if (waiting.delete(enter)) this.#count -= 1;
    };
    const enter = (tunnel: Tunnel) => {
      leave();
      onTunnel(tunnel);
    };
    const timer = this.#clock.after(WAIT_MS, () => {
      leave();
      onLate(raw);
    });
    raw.on('close', leave);
    waiting.add(enter);
    this.#count += 1;
    return true;
  }

  /** A tunnel was bound: its waiting visitors continue. */
  open(tunnel: Tunnel): void {
    const waiting = this.#expected.get(tunnel.key);
    if (waiting === undefined) return;
    this.#expected.delete(tunnel.key);
    for (const enter of [...waiting]) enter(tunnel);
    this.onSettled([tunnel.key]);
  }

  drain(): void {
    this.close();
  }

  close(): void {
    this.#timer?.cancel();
    this.#expected.clear();
  }
}
