// Notices that the link is probably dead: this machine's addresses have changed (another Wi-Fi, a VPN), or it was asleep.

import {networkInterfaces} from 'node:os';
import {systemClock} from '../core/clock.js';

/** Interval of the checks, ms. Node has no event for this; a check costs about 0.1 ms. */
const LOOK_EVERY_MS = 1_000;

/** Addresses that come and go automatically (IPv6 link-local of virtual devices) say nothing about the network. */
function fingerprint(): string {
  return Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .filter((each) => !each.internal && !each.address.startsWith('fe80:'))
    .map((each) => each.address)
    .sort()
    .join(' ');
}

/** When the wall clock has moved this much more than the monotonic one, ms, the machine was asleep, or its clock was set. */
const SLEPT_MS = 3_000;

export interface NetworkWatch {
  /** This machine's addresses have changed. */
  onChange: () => void;
  /** The machine may have been asleep, and its connections may be dead: a sleep stops the clock of the timers. */
  onWake: () => void;
}

/** What is looked at. Tests have others. */
export interface Machine {
  addresses: () => string;
  /** The difference between wall clock and monotonic clock, ms. */
  ahead: () => number;
}

const thisMachine: Machine = {addresses: fingerprint, ahead: () => Date.now() - systemClock.now()};

/** Looks at a machine once a second for all its watches, while there are any. Does not keep the process alive. */
export class NetworkLook {
  readonly #machine: Machine;
  readonly #watches = new Set<NetworkWatch>();
  #timer: NodeJS.Timeout | undefined;
  #last: string | undefined;
  #lastAhead = 0;

  constructor(machine: Machine) {
    this.#machine = machine;
  }

  add(watch: NetworkWatch): Disposable {
    if (this.#watches.size === 0) this.#start();
    this.#watches.add(watch);
    return {
      [Symbol.dispose]: () => {
        this.#watches.delete(watch);
        if (this.#watches.size === 0) clearInterval(this.#timer);
      },
    };
  }

  #start(): void {
    this.#last = undefined;
    this.#last = this.#read();
    this.#lastAhead = this.#machine.ahead();
    this.#timer = setInterval(() => this.#look(), LOOK_EVERY_MS).unref();
  }

  #look(): void {
    const [now, nowAhead] = [this.#read(), this.#machine.ahead()];
    const slept = nowAhead - this.#lastAhead > SLEPT_MS;
    const changed = this.#last !== undefined && now !== this.#last;
    this.#last = now;
    this.#lastAhead = nowAhead;
    // A watch may end others, or begin new ones.
    for (const watch of [...this.#watches]) {
      if (!this.#watches.has(watch)) continue;
      if (changed) watch.onChange();
      else if (slept) watch.onWake();
    }
  }

  #read(): string | undefined {
    try {
      return this.#machine.addresses();
    } catch {
      // Node asks the kernel through a socket: without a free descriptor the addresses are unknown.
      return this.#last;
    }
  }
}

const shared = new NetworkLook(thisMachine);

/** Checks once a second until disposed. All watches of the process share one check. Does not keep the process alive. */
export function watchNetwork(watch: NetworkWatch): Disposable {
  return shared.add(watch);
}
