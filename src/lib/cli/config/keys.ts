// The names of settings in files and in the environment. Both follow from the table.

import type {Setting} from '../../core/settings.js';
import {nearest} from '../nearest.js';

/** The key of a row in a file: the name of its flag, unless it has another key. Undefined: no file can set it. */
export function keyOf({flag, key}: Setting<unknown>): string | undefined {
  return key ?? flag;
}

/** `TUNL_RELAY_LISTEN_HTTP` for `listen-http` */
export function variableOf(prefix: string, key: string): string {
  return `${prefix}${key.toUpperCase().replaceAll('-', '_')}`;
}

/** The nearest key, also for `listenHttp` and `LISTEN_HTTP`. */
export function nearestKey(typed: string, keys: Iterable<string>): string | undefined {
  const dashed = typed
    .slice(0, 60)
    .replace(/([a-z0-9])([A-Z])/g, '$1-$2')
    .replaceAll('_', '-')
    .toLowerCase();
  const all = [...keys];
  return all.find((key) => key === dashed) ?? nearest(dashed, all);
}
