// The event of commands that run sealed: what holds from here on.

import type {UdpState} from '../seal/udp/seal-udp.js';
import type {Line} from './wording.js';

/** `tunl egress run`: the command starts. `tunl expose --egress`: its network is there. */
export interface SealedEvent {
  type: 'sealed';
  /**
   * `network`: it has no way out but the one that is named here. `strict`: it does not see the sockets of this machine’s
   * services in /run either. `none`: only variables lead it there, and a program may ignore them.
   */
  seal: 'network' | 'strict' | 'none';
  /** Whether UDP leaves by the egress too; otherwise it is refused. Absent with `none`. */
  udp?: boolean;
  /** Why it does not, and what to do. */
  udpRefused?: {why: string; mend: string};
  /** The egress that all connections leave by. */
  egress: string;
  /** The addresses that destinations see. */
  addresses: string[];
}

/** The fields of the event about UDP. */
export function carriage(udp: UdpState | undefined): Pick<SealedEvent, 'udp' | 'udpRefused'> {
  if (udp === undefined) return {};
  return udp === 'carried' ? {udp: true} : {udp: false, udpRefused: {why: udp.why, mend: udp.mend}};
}

export function aboutSealed({seal, udp, egress, addresses}: SealedEvent): Line[] {
  const way = `${egress} (${addresses.join(', ')})`;
  if (seal === 'none') {
    const text = `NOT sealed: variables ask programs to leave by ${way}; those that ignore them leave directly`;
    return [{tone: 'warning', text}];
  }
  const more = seal === 'strict' ? ', and /run is empty' : '';
  const what = udp === true ? 'TCP and UDP leave' : 'TCP leaves';
  const rest = udp === true ? '' : '; UDP is refused';
  return [{tone: 'good', text: `sealed: ${what} by ${way}${rest}${more}`}];
}
