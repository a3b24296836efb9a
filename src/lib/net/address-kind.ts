// The kind of network of an address, in any spelling. An IPv4 address inside an IPv6 one counts as the IPv4 address.

import {BlockList, isIP} from 'node:net';

export type AddressKind = 'public' | 'private' | 'loopback' | 'link-local' | 'other';

/** Subnets of one meaning. The list is made at its first use: most agents never judge an address, and it takes a while. */
class Subnets {
  readonly #subnets: readonly string[];
  #list: BlockList | undefined;

  constructor(...subnets: readonly string[]) {
    this.#subnets = subnets;
  }

  check(address: string, family: 'ipv4' | 'ipv6'): boolean {
    this.#list ??= listOf(this.#subnets);
    return this.#list.check(address, family);
  }
}

function listOf(subnets: readonly string[]): BlockList {
  const list = new BlockList();
  for (const subnet of subnets) {
    const [network = '', bits] = subnet.split('/');
    list.addSubnet(network, Number(bits), isIP(network) === 6 ? 'ipv6' : 'ipv4');
  }
  return list;
}

const KINDS: readonly (readonly [AddressKind, Subnets])[] = [
  ['loopback', new Subnets('127.0.0.0/8', '::1/128')],
  ['link-local', new Subnets('169.254.0.0/16', 'fe80::/10')],
  // 100.64.0.0/10: networks of providers, and private networks over the internet.
  ['private', new Subnets('10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', '100.64.0.0/10', 'fc00::/7')],
  // No host on the internet has such an address: unspecified, protocol assignments, benchmarks, multicast, reserved.
  ['other', new Subnets('0.0.0.0/8', '192.0.0.0/24', '198.18.0.0/15', '224.0.0.0/4', '240.0.0.0/4')],
];

/** An IPv4 address in the last 32 bits: IPv4-mapped, and NAT64's own prefix. */
const WITH_IPV4: Readonly<Subnets> = new Subnets('::ffff:0:0/96', '64:ff9b::/96');
/** All global unicast addresses. Other prefixes, among them those of `::a.b.c.d` and local NAT64, are no public hosts. */
const UNICAST: Readonly<Subnets> = new Subnets('2000::/3');
/** Teredo and similar, and 6to4: they contain an IPv4 address, and a relay of that system would send the packets there. */
const TUNNELLED: Readonly<Subnets> = new Subnets('2001::/23', '2002::/16');

/** @param address an IP address, without brackets. */
export function addressKind(address: string): AddressKind {
  const [plain = ''] = address.split('%');
  const family = isIP(plain);
  if (family === 0) return 'other';
  if (family === 4) return kindIn(plain, 'ipv4') ?? 'public';
  if (WITH_IPV4.check(plain, 'ipv6')) return addressKind(innerAddress(plain));
  const known = kindIn(plain, 'ipv6');
  if (known !== undefined) return known;
  return UNICAST.check(plain, 'ipv6') && !TUNNELLED.check(plain, 'ipv6') ? 'public' : 'other';
}

function kindIn(address: string, family: 'ipv4' | 'ipv6'): AddressKind | undefined {
  return KINDS.find(([, list]) => list.check(address, family))?.[0];
}

/** The last 32 bits as an IPv4 address. */
function innerAddress(address: string): string {
  // The URL parser has one spelling for each address: hex groups, with at most one `::`.
  const groups = new URL(`https://[${address}]`).hostname.slice(1, -1).split(':');
  const [high = 0, low = 0] = groups.slice(-2).map((group) => Number.parseInt(group || '0', 16));
  return [high >> 8, high & 255, low >> 8, low & 255].join('.');
}
