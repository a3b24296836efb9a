// The kind of settings that are bytes a second.

import {TunlError} from '../../core/errors.js';
import type {Kind} from '../../core/settings.js';

const UNITS: ReadonlyMap<string, number> = new Map([
  ['', 1],
  ['K', 1e3],
  ['M', 1e6],
  ['G', 1e9],
]);
/** A read has up to 64 KiB, so less than this would let one pass every minute. */
const LEAST = 10_000;
const MOST = 1e12;

/** Bytes a second, written `500K`, `10M` or `1.5G`: thousands, millions and thousand millions. */
export const byteRate: Kind<number> = {
  placeholder: 'BYTES',
  parse: (written) => {
    const [, number, unit = ''] = /^(\d{1,12}(?:\.\d{1,3})?)([KMG]?)(?:B(?:\/s)?)?$/i.exec(written) ?? [];
    const bytes = Math.round(Number(number) * (UNITS.get(unit.toUpperCase()) ?? Number.NaN));
    if (bytes >= LEAST && bytes <= MOST) return bytes;
    throw new TunlError('OPTION_INVALID', {
      reason: `${JSON.stringify(written.slice(0, 40))} is not possible.`,
      next: 'Give bytes a second, from 10K to 1000G, such as 500K or 10M.',
    });
  },
  check: (value, name) => {
    if (Number.isInteger(value) && value >= LEAST && value <= MOST) return value;
    throw new TunlError('OPTION_INVALID', {
      reason: `${name} is a whole number of bytes a second from ${LEAST} to ${MOST}, not ${value}.`,
    });
  },
  show: (bytes) => {
    for (const [unit, size] of [...UNITS].reverse()) {
      if (bytes >= size && (bytes / size) * 1_000 === Math.round((bytes / size) * 1_000))
        return `${bytes / size}${unit}`;
    }
    return String(bytes);
  },
};
