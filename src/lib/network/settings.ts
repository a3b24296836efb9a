// The settings of a member, each declared once: for the flags of the commands.

import {list, onOff, setting, text} from '../core/settings.js';
import {port} from '../protocol/setting-kinds.js';

export const NETWORK_SETTINGS = {
  trustRelay: setting(onOff, {
    default: false,
    flag: 'trust-relay',
    help: 'No encryption between members that both say so: the relay can read and change all.',
  }),
};

export const MEMBER_SETTINGS = {
  name: setting(text('NAME'), {
    flag: 'name',
    help: 'The name of this member.',
  }),
  ephemeral: setting(onOff, {
    default: false,
    flag: 'ephemeral',
    help: 'A new key and address, for this run alone.',
  }),
  allowIn: setting(list(text('RULE')), {
    flag: 'allow-in',
    help: 'Only from this member, to this port: NAME[:PORT], PORT; repeatable.',
  }),
  direct: setting(onOff, {
    default: false,
    flag: 'direct',
    help: 'Members may also connect directly, at all addresses of this machine.',
  }),
  directPort: setting(port, {
    flag: 'direct-port',
    help: 'The port for that.',
    defaultText: 'a free one',
  }),
  ...NETWORK_SETTINGS,
};

/** `--direct-port` means `--direct` as well. */
export function directOf({
  direct,
  'direct-port': at,
}: {
  direct?: boolean | undefined;
  'direct-port'?: number | undefined;
}) {
  return at === undefined ? (direct ?? false) : {port: at};
}
