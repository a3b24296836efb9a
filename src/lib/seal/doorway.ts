// Where connections of a sealed network arrive, and how the original destination stays readable there.
//
// Every address is local in the namespace, and the redirect changes only the port: so the accepted socket's own address is
// the address that the program dialled. The port comes as two halves. Its upper part chooses one of DOORS listeners, and its
// lower part becomes the source address. Node reads both from the socket, without native code or a look-up.

import {addressBytes, addressText} from '../net/address-bytes.js';
import {DOORS, FIRST_DOOR, PORTS_OF_DOOR, RESOLVER_PORT} from './ports.js';
import {OWN4, OWN6, UDP_DEVICE} from './udp/device.js';

/** The first source addresses. Nobody else has them in the namespace: all of it belongs to the seal. */
const SOURCE4 = [100, 64] as const;
const SOURCE6 = 'fd74:756e::';

export interface Destination {
  /** In its usual spelling. */
  readonly address: string;
  readonly port: number;
}

/** Node's facts about an accepted socket. */
export interface Accepted {
  readonly localAddress?: string | undefined;
  readonly localPort?: number | undefined;
  readonly remoteAddress?: string | undefined;
}

/** Undefined: the connection has not come through the redirect, or is gone already. */
export function originalDestination(socket: Accepted): Destination | undefined {
  const own = addressBytes(socket.localAddress ?? '');
  const source = addressBytes(socket.remoteAddress ?? '');
  const door = (socket.localPort ?? 0) - FIRST_DOOR;
  if (own === undefined || source === undefined || door < 0 || door >= DOORS) return undefined;
  const low = source.readUInt16BE(source.length - 2);
  if (low >= PORTS_OF_DOOR || !source.equals(sourceBytes(low, source.length))) return undefined;
  return {address: addressText(own), port: door * PORTS_OF_DOOR + low};
}

function sourceBytes(low: number, length: number): Buffer {
  const bytes = length === 4 ? Buffer.from([...SOURCE4, 0, 0]) : (addressBytes(SOURCE6) as Buffer);
  bytes.writeUInt16BE(low, length - 2);
  return bytes;
}

/** The door of a port. */
export const doorOf = (port: number): number => FIRST_DOOR + Math.floor(port / PORTS_OF_DOOR);

/** Open connections at once, where nobody says otherwise. Each may fill the buffers of both its sockets. */
export const MAX_CONNECTIONS = 512;

/** Connections that may begin each second; more of them are dropped, and the kernel tries again a second later. */
const newConnections = (most: number): string =>
  `limit rate over ${Math.ceil(most / 2)}/second burst ${most} packets drop`;
export const NEW_CONNECTIONS = newConnections(MAX_CONNECTIONS);
/** The same for questions. */
export const QUESTIONS = 'limit rate over 200/second burst 100 packets drop';

/** Ports that are remembered, because people should hear about them. */
const MOST_MISSED = 64;
/** The answer to a SYN for a port without a listener: a later reset has a sequence number. */
const NOBODY_LISTENS = 'tcp flags & (rst | ack) == rst | ack tcp sequence 0';

export interface RulesetOptions {
  /** Ports of both loopback addresses that lead out of the namespace. */
  readonly localPorts?: readonly number[] | undefined;
  /** The address of this member of a private network: whatever goes there stays. */
  readonly ownAddress?: string | undefined;
  /** UDP leaves by a device of its own, if there is one. */
  readonly carriesUdp?: boolean | undefined;
  /** The addresses of a private network: with `carriesUdp` programs ask them by ICMP whether they are there. */
  readonly prefix?: string | undefined;
  /** Open connections at once: half of them may begin in each second. */
  readonly maxConnections?: number | undefined;
}

/** Maps of nft: the door of a port, and the source address of its lower part. */
export function doorMaps(): string {
  const doors = Array.from({length: DOORS}, (_, door) => {
    const first = door * PORTS_OF_DOOR;
    return `${first}-${first + PORTS_OF_DOOR - 1} : ${FIRST_DOOR + door}`;
  });
  const lows = Array.from({length: PORTS_OF_DOOR}, (_, low) => low);
  const low4 = lows.map((low) => `${low} : ${SOURCE4.join('.')}.${low >> 8}.${low & 255}`);
  const low6 = lows.map((low) => `${low} : ${SOURCE6}${low.toString(16)}`);
  return `  map doors { type inet_service : inet_service; flags interval; elements = { ${doors.join(', ')} } }
  map low4 { type inet_service : ipv4_addr; elements = { ${low4.join(', ')} } }
  map low6 { type inet_service : ipv6_addr; elements = { ${low6.join(', ')} } }`;
}

/** Rules of nft that put the lower part of the port into the source address. */
export function fromDoors(): string {
  const range = `${FIRST_DOOR}-${FIRST_DOOR + DOORS - 1}`;
  const low = `ct original proto-dst & ${PORTS_OF_DOOR - 1}`;
  return `    tcp dport ${range} ct status & dnat != 0 meta nfproto ipv4 snat ip to ${low} map @low4
    tcp dport ${range} ct status & dnat != 0 meta nfproto ipv6 snat ip6 to ${low} map @low6`;
}

/** The input of `nft -f -`. */
export function ruleset({
  localPorts = [],
  ownAddress,
  carriesUdp,
  prefix,
  maxConnections = MAX_CONNECTIONS,
}: RulesetOptions = {}): string {
  const toOwn = ownAddress === undefined ? '' : `ip6 daddr ${ownAddress} accept`;
  const local =
    localPorts.length === 0
      ? []
      : ['ip daddr 127.0.0.0/8', 'ip6 daddr ::1'].map(
          (own) => `${own} tcp dport { ${localPorts.join(', ')} } dnat to :tcp dport map @doors`,
        );
  const udp =
    carriesUdp !== true
      ? ''
      : `ip daddr ${OWN4} accept
    ip6 daddr ${OWN6} accept
    ip daddr 224.0.0.0/3 reject
    ip6 daddr ff00::/8 reject
    ${prefix === undefined ? '' : `ip6 daddr ${prefix} icmpv6 type echo-request oifname ${UDP_DEVICE} accept`}
    meta l4proto udp oifname ${UDP_DEVICE} accept`;
  const range = `${FIRST_DOOR}-${FIRST_DOOR + DOORS - 1}`;
  return `table inet tunl_seal {
${doorMaps()}
  set missed_udp { type inet_service; size ${MOST_MISSED}; flags dynamic; }
  set missed_local { type inet_service; size ${MOST_MISSED}; flags dynamic; }
  chain destination { type nat hook output priority -100;
    ${toOwn}
    udp dport 53 redirect to :${RESOLVER_PORT}
    tcp dport 53 dnat to :${doorOf(53)}
    ${local.join('\n    ')}
    ip daddr 127.0.0.0/8 accept
    ip6 daddr ::1 accept
    meta l4proto tcp dnat to :tcp dport map @doors
  }
  chain source { type nat hook postrouting priority 100;
${fromDoors()}
  }
  chain output { type filter hook output priority 0;
    udp dport ${RESOLVER_PORT} ${QUESTIONS}
    ${NOBODY_LISTENS} ip saddr 127.0.0.0/8 add @missed_local { tcp sport }
    ${NOBODY_LISTENS} ip6 saddr ::1 add @missed_local { tcp sport }
    ct state established,related accept
    tcp dport ${range} ct status & dnat == 0 reject with tcp reset
    udp dport ${RESOLVER_PORT} ct status & dnat == 0 reject
    tcp dport ${range} ${newConnections(maxConnections)}
    ip daddr 127.0.0.0/8 accept
    ip6 daddr ::1 accept
    ${toOwn}
    tcp dport ${range} accept
    ${udp}
    meta l4proto udp add @missed_udp { udp dport }
    reject
  }
}
`;
}
