// The settings of a command that runs behind an egress.

import {choice, list, onOff, setting, text} from '../core/settings.js';
import {port} from '../protocol/setting-kinds.js';

export const EGRESS_SETTINGS = {
  via: setting(text('NAME'), {flag: 'via', help: 'The egress; `tunl egress list` shows them.'}),
  spread: setting(onOff, {
    default: false,
    flag: 'spread',
    help: 'Use all its addresses, not one for each destination.',
  }),
};

export const SEAL_LEVELS = ['network', 'strict'] as const;

export const EGRESS_RUN_SETTINGS = {
  localPorts: setting(list(port, {most: 64}), {
    default: [],
    flag: 'local',
    help: 'Let the command reach this port of this machine’s loopback; repeatable.',
  }),
  seal: setting(choice('LEVEL', 'seal', SEAL_LEVELS), {
    default: 'network',
    flag: 'seal',
    help: 'network, or strict: without the sockets in /run too.',
  }),
};

export const NO_SEAL_SETTINGS = {
  isUnsealed: setting(onOff, {
    default: false,
    flag: 'no-seal',
    help: 'Only set the variables for a proxy: programs may ignore them.',
  }),
};
