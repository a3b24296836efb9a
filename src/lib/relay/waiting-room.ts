// Visitors of tunnels whose agents are known to be on their way back after a restart of the relay: they wait a little.

import type {Socket} from 'node:net';
import type {Clock, Timer} from '../core/clock.js';
import type {LeaseKey} from './registry.js';
import type {Tunnel} from './tunnels.js';

/** A visitor waits so long at the most, ms: agents come back within a second or two. */
const WAIT_MS = 10_000;
/** Agents that have not come back by then are not expected any more, ms. */
const EXPECT_MS = 60_000;
const MAX_FOR_ONE = 256;
const MAX_IN_ALL = 4_096;

export class WaitingRoom {
  readonly #clock: Clock;
  readonly #expected: Map<LeaseKey, Set<(tunnel: Tunnel) => void>>;
  readonly #timer: Timer;
  #count = 0;

  /** @param expected what agents of the last process held. @param onGivenUp those that nobody came back for. */
  constructor(expected: Iterable<LeaseKey>, clock: Clock, onGivenUp: (keys: LeaseKey[]) => void) {
    this.#clock = clock;
    this.#expected = new Map([...expected].map((key) => [key, new Set()]));
    this.#timer = clock.after(EXPECT_MS, () => {
      const keys = [...this.#expected.keys()];
      this.#expected.clear();
      onGivenUp(keys);
    });
  }

  /** Holds `raw` until the tunnel is bound. False: nobody is expected under this key, or too many wait already. */
  wait(key: LeaseKey, raw: Socket, onTunnel: (tunnel: Tunnel) => void): boolean {
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
      raw.resetAndDestroy();
    });
    raw.on('close', leave);
    waiting.add(enter);
    this.#count += 1;
    return true;
  }

  /** A tunnel was bound: whoever waited for it goes in. */
  open(tunnel: Tunnel): void {
    const waiting = this.#expected.get(tunnel.key);
    if (waiting === undefined) return;
    this.#expected.delete(tunnel.key);
    for (const enter of [...waiting]) enter(tunnel);
  }

  close(): void {
    this.#timer.cancel();
    this.#expected.clear();
  }
}
