// Chooses this machine's address in the local network: the one that a phone in the same Wi-Fi can reach.

import {createSocket} from 'node:dgram';
import {isIP} from 'node:net';
import {hostname, type NetworkInterfaceInfo, networkInterfaces} from 'node:os';
import {TunlError} from '../core/errors.js';
import {addressKind} from './address-kind.js';

export interface LanAddress {
  address: string;
  /** The network interface that has it. */
  interface: string;
  /** The other addresses that could be meant. */
  others: string[];
  /** The machine's name in multicast DNS. Not every network and not every machine supports it. */
  name: string | undefined;
}

type Interfaces = Readonly<Record<string, readonly NetworkInterfaceInfo[] | undefined>>;

interface Candidate {
  address: string;
  name: string;
}

/** Documentation (RFC 5737): no packet is sent there, the kernel only says which address it would use. */
const ELSEWHERE = '192.0.2.1';

/** Interfaces to containers, virtual machines and VPNs: devices in the Wi-Fi cannot reach these. */
const VIRTUAL =
  /^(docker|br-|veth|virbr|vmnet|vboxnet|vEthernet|cni|flannel|cali|podman|lxc|lxd|tun|tap|utun|wg|ppp|tailscale|zt|awdl|llw)/i;

/** The ranges of RFC 1918, the usual one of homes and offices first. */
const RANGES: readonly RegExp[] = [/^192\.168\./, /^10\./, /^172\.(1[6-9]|2\d|3[01])\./];

/**
 * @param wanted `true`: choose; otherwise an address of this machine or the name of an interface
 * @throws TunlError LAN_ADDRESS_MISSING
 */
export async function findLanAddress(wanted: string | true): Promise<LanAddress> {
  return chooseLanAddress(wanted, {
    interfaces: networkInterfaces(),
    outgoing: wanted === true ? await outgoingAddress() : undefined,
    host: hostname(),
  });
}

/**
 * @param machine.outgoing the address of the default route, if there is one
 * @throws TunlError LAN_ADDRESS_MISSING
 */
export function chooseLanAddress(
  wanted: string | true,
  {interfaces, outgoing, host}: {interfaces: Interfaces; outgoing: string | undefined; host: string},
): LanAddress {
  const all = candidates(interfaces);
  const fitting = all.filter(({address, name}) =>
    wanted === true ? isPrivate(address) : address === wanted || name === wanted,
  );
  const [best, ...rest] = fitting.sort((a, b) => rank(a, outgoing) - rank(b, outgoing));
  if (best === undefined) throw missing(wanted, all);
  const others = wanted === true ? rest.map(({address, name}) => `${address} (${name})`) : [];
  return {address: best.address, interface: best.name, others, name: localName(host)};
}

/** All addresses that visitors could use. A link-local one needs a zone, which a URL cannot have. */
function candidates(interfaces: Interfaces): Candidate[] {
  return Object.entries(interfaces).flatMap(([name, addresses = []]) =>
    addresses.flatMap(({address, internal}) =>
      internal || ['loopback', 'link-local', 'other'].includes(addressKind(address)) ? [] : [{address, name}],
    ),
  );
}

/** A public address is never chosen by itself: it would open the tunnel to the internet. */
const isPrivate = (address: string): boolean =>
  isIP(address) === 6 ? addressKind(address) === 'private' : rangeOf(address) >= 0;

const rangeOf = (address: string): number => RANGES.findIndex((range) => range.test(address));

/** Lower is better. */
function rank({address, name}: Candidate, outgoing: string | undefined): number {
  const range = rangeOf(address);
  return (
    (VIRTUAL.test(name) ? 100 : 0) +
    (address === outgoing ? 0 : 10) +
    (range < 0 ? RANGES.length : range) +
    (isIP(address) === 6 ? 50 : 0)
  );
}

function missing(wanted: string | true, all: readonly Candidate[]): TunlError {
  const there = all.map(({address, name}) => `${address} (${name})`).join(', ');
  if (wanted !== true) {
    return new TunlError('LAN_ADDRESS_MISSING', {
      reason: `This machine has no address or network interface ${JSON.stringify(wanted)} for --lan.`,
      next: there === '' ? 'Connect it to a network.' : `It has ${there}.`,
    });
  }
  return new TunlError('LAN_ADDRESS_MISSING', {
    reason:
      there === ''
        ? 'This machine is in no network.'
        : 'This machine has no private address (192.168.…, 10.…, 172.16.… to 172.31.…).',
    next:
      there === ''
        ? 'Connect it to the network of the phone.'
        : `Connect it to the network of the phone, or choose an address with --lan=ADDRESS: ${there}.`,
  });
}

function localName(host: string): string | undefined {
  const [label = ''] = host.toLowerCase().split('.');
  return /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(label) && label !== 'localhost'
    ? `${label}.local`
    : undefined;
}

/** The address from which packets to the internet would leave. */
function outgoingAddress(): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = createSocket('udp4');
    const done = (address?: string) => {
      socket.close();
      resolve(address);
    };
    socket.on('error', () => done());
    socket.connect(9, ELSEWHERE, () => done(socket.address().address));
  });
}
