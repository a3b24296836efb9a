// Kinds of settings that only a tunnel has.

import {TunlError} from '../core/errors.js';
import {choice, type Kind, text} from '../core/settings.js';
import {readRange} from '../net/address-ranges.js';
import type {WatchUpstream} from './options.js';
import type {ProxyVersion} from './upstreams/proxy-header.js';

/** The value of `--lan` without one. */
export const LAN_AUTO = 'auto';

function readProxyVersion(version: unknown): ProxyVersion {
  if (version === 1 || version === 2) return version;
  throw new TunlError('OPTION_INVALID', {
    reason: 'The PROXY protocol has the versions 1 and 2.',
    next: 'Give 1 or 2.',
  });
}

export const proxyVersion: Kind<ProxyVersion> = {
  placeholder: '1|2',
  parse: (written) => readProxyVersion(/^\d$/.test(written) ? Number(written) : undefined),
  check: readProxyVersion,
  show: String,
};

/** As it is written: the issuer's tokens must have the same text. */
export function issuerUrl(written: string): string {
  if (URL.canParse(written) && new URL(written).protocol === 'https:') return written;
  throw new TunlError('OPTION_INVALID', {
    reason: 'An issuer is an https URL.',
    next: 'Write it like https://id.example.com.',
  });
}

/** It stays text for the relay. */
export const addressRange = text('RANGE', (written) => {
  const range = written.trim();
  readRange(range);
  return range;
});

/** `true`: the best address. */
export const lanAddress: Kind<string | boolean> = {
  // The brackets: it may be left out.
  placeholder: '[ADDRESS]',
  parse: (written) => (written === LAN_AUTO ? true : written.replace(/^\[(.*)\]$/, '$1')),
  check: (value) => value,
  show: String,
};

const times = choice('WHEN', 'time to watch the upstream', ['never', 'when refused', 'at first', 'always']);
export const whenToWatch: Kind<WatchUpstream | boolean> = {
  ...times,
  check: (when, name) => (typeof when === 'boolean' ? when : times.check(when, name)),
  show: String,
};
