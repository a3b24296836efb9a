// Kinds of settings that are hosts, ports and names.

import {ERRORS, TunlError} from '../core/errors.js';
import {type Kind, text} from '../core/settings.js';
import {checkLabel, lowerCaseLabel} from './names.js';
import {checkHost, checkPort, listenAddress, portRange} from './targets.js';

/** A port number, 1 to 65535. */
export const port: Kind<number> = {
  placeholder: 'PORT',
  parse: (written) => {
    if (/^[+-]?\d{1,15}$/.test(written)) return checkPort(Number(written));
    throw new TunlError('PORT_INVALID', {next: ERRORS.PORT_RANGE.next});
  },
  check: (value) => checkPort(value),
  show: String,
};

/**
 * A host without a port.
 *
 * @param code for an invalid value of a program.
 */
export function host(code: 'TARGET_INVALID' | 'OPTION_INVALID', placeholder = 'HOST'): Kind<string> {
  return {
    ...text(placeholder),
    parse: (written) => checkHost(written),
    check: (value) => checkHost(value, code),
  };
}

/** `HOST:PORT` to listen on. It stays text, because the library takes text, too. */
export const listenPlace: Kind<string> = text('HOST:PORT', (written) => {
  listenAddress(written);
  return written;
});

/** The first and the last port, or 0 for any free port. */
export const ports: Kind<readonly [first: number, last: number]> = {
  placeholder: 'FIRST-LAST',
  parse: portRange,
  check: (range) => {
    const [first, last] = range;
    if (first === 0 && last === 0) return range;
    checkPort(first);
    checkPort(last);
    if (first > last)
      throw new TunlError('OPTION_INVALID', {reason: `The port range ${first}–${last} is empty.`});
    return range;
  },
  show: ([first, last]) => (last === 0 ? '0' : `${first}-${last}`),
};

/** The name of a tunnel, in lower case. The relay decides about reserved names, because its list may be another one. */
export const tunnelName: Kind<string> = text('NAME', (written) => {
  const label = lowerCaseLabel(written);
  const check = checkLabel(label);
  if (!check.ok && check.code === 'NAME_INVALID') throw new TunlError(check.code, {reason: check.reason});
  return label;
});
