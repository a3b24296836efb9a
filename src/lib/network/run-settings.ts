// The settings of a command that runs as a member of a private network, beside those of every member.

import {list, onOff, setting, text, time} from '../core/settings.js';
import {port} from '../protocol/setting-kinds.js';

export const NET_RUN_SETTINGS = {
  isIsolated: setting(onOff, {
    default: false,
    flag: 'isolated',
    help: 'Reach the members of the network only, not the internet.',
  }),
  egress: setting(text('NAME'), {
    flag: 'egress',
    help: 'The internet by an egress of the relay; `tunl egress list`.',
    defaultText: 'by this machine',
  }),
  localPorts: setting(list(port, {most: 64}), {
    default: [],
    flag: 'local',
    help: 'Let the command reach this port of this machine’s loopback; repeatable.',
  }),
  graceMs: setting(time(), {
    default: 0,
    flag: 'dial-grace',
    help: 'How long a connection waits for the command to listen.',
  }),
};
