// The rules of `nft` at the hub: what members send to the internet arrives at the listeners of a seal, and nothing else leaves.
// Traffic among members passes untouched.

import {doorMaps, doorOf, fromDoors, NEW_CONNECTIONS, QUESTIONS} from '../doorway.js';
import {DOORS, FIRST_DOOR, RESOLVER_PORT} from '../ports.js';
import {hubAddresses, RANGE4} from './addresses.js';

/** The input of `nft -f -`. */
export function wayOutRules(prefix: string): string {
  const {v4, v6} = hubAddresses(prefix);
  const range = `${FIRST_DOOR}-${FIRST_DOOR + DOORS - 1}`;
  return `table inet tunl_fabric {
${doorMaps()}
  chain members { type filter hook prerouting priority -300;
    ip daddr ${v4} accept
    ip6 daddr ${v6} accept
    ip daddr ${RANGE4} notrack
    ip6 daddr ${prefix}::/48 notrack
  }
  chain destination { type nat hook prerouting priority -100;
    meta nfproto ipv4 udp dport 53 dnat ip to ${v4}:${RESOLVER_PORT}
    meta nfproto ipv6 udp dport 53 dnat ip6 to [${v6}]:${RESOLVER_PORT}
    tcp dport 53 dnat to :${doorOf(53)}
    ip daddr ${RANGE4} accept
    ip6 daddr ${prefix}::/48 accept
    meta l4proto tcp dnat to :tcp dport map @doors
  }
  chain source { type nat hook input priority 100;
${fromDoors()}
  }
  chain input { type filter hook input priority 0;
    udp dport ${RESOLVER_PORT} ${QUESTIONS}
    ct state established,related accept
    tcp dport ${range} ct status & dnat == 0 reject with tcp reset
    udp dport ${RESOLVER_PORT} ct status & dnat == 0 reject
    tcp dport ${range} ${NEW_CONNECTIONS}
    tcp dport ${range} accept
    udp dport ${RESOLVER_PORT} accept
    iifname "lo" accept
    reject
  }
}
`;
}
