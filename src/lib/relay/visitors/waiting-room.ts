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

/** `Entry`: where the visitors of a key go. */
export class WaitingRoom<Entry extends {readonly key: LeaseKey} = Tunnel> implements Part {
  /** Gets the keys that nobody waits for any more: their agents came back, or did not. */
  onSettled: (keys: readonly LeaseKey[]) => void = () => {};
  readonly #clock: Clock;
  readonly #expected = new Map<LeaseKey, Set<(tunnel: Entry) => void>>();
  readonly #leases: {readonly expected: Iterable<LeaseKey>};
  readonly #timers = new Set<Timer>();
  #over = false;
  #count = 0;

  /** @param leases has the leases of the previous process's agents. */
  constructor({leases, clock}: {leases: {readonly expected: Iterable<LeaseKey>}; clock: Clock}) {
    this.#leases = leases;
    this.#clock = clock;
  }

  start(): void {
    this.expect([...this.#leases.expected]);
  }

  /** The agents that had these keys are expected back. */
  expect(keys: readonly LeaseKey[]): void {
    if (this.#over || keys.length === 0) return;
    const rooms = new Map(
      keys.map((key) => [key, this.#expected.get(key) ?? new Set<(tunnel: Entry) => void>()]),
    );
    for (const [key, waiting] of rooms) this.#expected.set(key, waiting);
    const timer = this.#clock.after(EXPECT_MS, () => {
      this.#timers.delete(timer);
      const late = keys.filter((key) => this.#expected.get(key) === rooms.get(key));
      for (const key of late) this.#expected.delete(key);
      this.onSettled(late);
    });
    this.#timers.add(timer);
  }

  /** Whether visitors of this key wait. */
  expects(key: LeaseKey): boolean {
    return this.#expected.has(key);
  }

  /**
   * Holds `raw` until the tunnel is bound, or its time is over. Returns false when no agent is expected for this key, or when
   * too many visitors wait.
   */
  wait(
    key: LeaseKey,
    raw: Socket,
    onTunnel: (tunnel: Entry) => void,
    onLate: (raw: Socket) => void = (late) => late.resetAndDestroy(),
  ): boolean {
    const waiting = this.#expected.get(key);
    if (waiting === undefined || waiting.size >= MAX_FOR_ONE || this.#count >= MAX_IN_ALL) return false;
    const leave = () => {
      timer.cancel();
      raw.off('close', leave);
      if (waiting.delete(enter)) this.#count -= 1;
    };
    const enter = (tunnel: Entry) => {
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
  open(tunnel: Entry): void {
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
    this.#over = true;
    for (const timer of this.#timers) timer.cancel();
    this.#timers.clear();
    this.#expected.clear();
  }
}
