// The settings of egress: the sets of addresses, the destinations that are allowed, and the limits.

import {list, onOff, setting, text, wholeNumber} from '../../core/settings.js';
import {readRange} from '../../net/address-ranges.js';
import {MAX_EGRESSES} from '../../protocol/egress-messages.js';
import {ports} from '../../protocol/setting-kinds.js';
import {egressSetText, parseEgressSet} from './egress-set.js';

const EGRESS = 'egress';
const MOST = 10_000_000;
const count = wholeNumber({min: 1, max: MOST});

const set = text('NAME=ADDRESSES', (written) => egressSetText(parseEgressSet(written)));

const range = text('RANGE', (written) => {
  readRange(written);
  return written;
});

/** The ports that Linux itself gives to connections. */
const LOCAL_PORTS = [32_768, 60_999] as const;

export const EGRESS_SETTINGS = {
  egress: setting(list(set, {most: MAX_EGRESSES, inLines: true}), {
    default: [],
    defaultText: 'none',
    flag: 'egress',
    example: 'my-proxy=203.0.113.1,203.0.113.2',
    help: 'Addresses that agents may connect from, up to 5; repeatable.',
    group: EGRESS,
    reloads: true,
  }),
  egressAllowPrivate: setting(list(range, {most: 100}), {
    default: [],
    defaultText: 'none',
    flag: 'egress-allow-private',
    help: 'Addresses that are not public and may be reached by egress; repeatable.',
    group: EGRESS,
    reloads: true,
  }),
  egressMail: setting(onOff, {
    default: false,
    key: 'egress-mail',
    help: 'Connections to port 25 by egress.',
    group: EGRESS,
    reloads: true,
  }),
  egressUdp: setting(onOff, {
    default: true,
    key: 'egress-udp',
    help: 'UDP by egress.',
    group: EGRESS,
    reloads: true,
  }),
  egressPorts: setting(ports, {
    default: LOCAL_PORTS,
    key: 'egress-ports',
    help: 'Local ports of connections by egress.',
    group: EGRESS,
    reloads: true,
  }),
  maxEgressPerOwner: setting(count, {
    key: 'max-egress-per-owner',
    default: 20_000,
    help: 'Connections by egress of an owner at once.',
    group: EGRESS,
    reloads: true,
  }),
  egressPerSecondPerOwner: setting(count, {
    key: 'egress-per-second-per-owner',
    default: 200,
    help: 'New connections by egress a second of an owner; ten times as many at once.',
    group: EGRESS,
    reloads: true,
  }),
};
