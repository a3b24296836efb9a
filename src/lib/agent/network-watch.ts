// Notices that the link is probably dead: this machine's addresses changed (another Wi-Fi, a VPN), or it was asleep.

import {networkInterfaces} from 'node:os';

/** Between two looks, ms. Node has no event for it; a look costs about 0.1 ms. */
const LOOK_EVERY_MS = 1_000;

/** Addresses that come and go by themselves (IPv6 link-local of virtual devices) say nothing about the way out. */
function fingerprint(): string {
  return Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .filter((each) => !each.internal && !each.address.startsWith('fe80:'))
    .map((each) => each.address)
    .sort()
    .join(' ');
}

/** The wall clock went on this much further than the monotonic one, ms: the machine slept, or its clock was set. */
const SLEPT_MS = 3_000;

export interface NetworkWatch {
  /** This machine's addresses are other ones. */
  onChange: () => void;
  /** The machine was perhaps asleep, and what it held may be dead: a sleep stops the clock that timers go by. */
  onWake: () => void;
  /** For tests: what stands for the addresses, and how far the wall clock is ahead of the monotonic one. */
  read?: () => string;
  ahead?: () => number;
}

/** Looks once a second until disposed. Does not keep the process alive. */
export function watchNetwork(watch: NetworkWatch): Disposable {
  const {ahead = () => Date.now() - performance.now()} = watch;
  let last: string | undefined;
  const read = (): string | undefined => {
    try {
      return (watch.read ?? fingerprint)();
    } catch {
      // Node asks the kernel by a socket: no descriptor left says nothing about addresses.
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
