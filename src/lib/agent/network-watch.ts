// Notices that this machine's addresses changed: another Wi-Fi, a cable, a VPN. The link over the old one is probably dead.

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

/** Calls `onChange` after each change until disposed. Does not keep the process alive. */
export function watchNetwork(onChange: () => void, read: () => string = fingerprint): Disposable {
  let last = read();
  const timer = setInterval(() => {
    const now = read();
    if (now === last) return;
    last = now;
    onChange();
  }, LOOK_EVERY_MS);
  timer.unref();
  return {[Symbol.dispose]: () => clearInterval(timer)};
}
