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
  /** For tests: replaces the addresses, and the difference between wall clock and monotonic clock. */
  read?: () => string;
  ahead?: () => number;
}

/** Checks once a second until disposed. Does not keep the process alive. */
export function watchNetwork(watch: NetworkWatch): Disposable {
  const {ahead = () => Date.now() - systemClock.now()} = watch;
  let last: string | undefined;
  const read = (): string | undefined => {
    try {
      return (watch.read ?? fingerprint)();
    } catch {
      // Node asks the kernel through a socket: without a free descriptor the addresses are unknown.
      return last;
    }
  };
  last = read();
  let lastAhead = ahead();
  const timer = setInterval(() => {
    const [now, nowAhead] = [read(), ahead()];
    const slept = nowAhead - lastAhead > SLEPT_MS;
    const changed = last !== undefined && now !== last;
    last = now;
    lastAhead = nowAhead;
    if (changed) watch.onChange();
    else if (slept) watch.onWake();
  }, LOOK_EVERY_MS);
  timer.unref();
  return {[Symbol.dispose]: () => clearInterval(timer)};
}
