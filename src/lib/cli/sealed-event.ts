// The event of commands that run sealed: what holds from here on.

import type {Line} from './wording.js';

/** `tunl egress run`: the command starts. `tunl expose --egress`: its network is there. */
export interface SealedEvent {
  type: 'sealed';
  /**
   * `network`: it has no way out but the one that is named here. `strict`: it does not see the sockets of this machine’s
   * services in /run either. `none`: only variables lead it there, and a program may ignore them.
   */
  seal: 'network' | 'strict' | 'none';
  /** The egress that all connections leave by. */
  egress: string;
  /** The addresses that destinations see. */
  addresses: string[];
}

export function aboutSealed({seal, egress, addresses}: SealedEvent): Line[] {
  const way = `${egress} (${addresses.join(', ')})`;
  if (seal === 'none') {
    const text = `NOT sealed: variables ask programs to leave by ${way}; those that ignore them leave directly`;
    return [{tone: 'warning', text}];
  }
  const more = seal === 'strict' ? ', and /run is empty' : '';
  return [{tone: 'good', text: `sealed: everything leaves by ${way}${more}`}];
}
