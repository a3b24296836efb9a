// Decides about destinations: by name before the look-up, and by the very address that will be dialled. Pure, but for the list of
// this machine's addresses.

import type {Logger} from '../../core/logger.js';
import {addressKind} from '../../net/address-kind.js';
import {AddressRanges} from '../../net/address-ranges.js';
import {plainAddress} from '../../net/host-name.js';
import {OwnAddresses} from '../../net/own-addresses.js';

/** Services of cloud providers that give secrets to whoever asks from this machine. No range allows them. */
const METADATA: Readonly<AddressRanges> = new AddressRanges([
  '169.254.169.254',
  '169.254.170.2',
  '169.254.170.23',
  '168.63.129.16',
  '100.100.100.200',
  '192.0.0.192',
  'fd00:ec2::254',
  'fd00:ec2::23',
  'fd20:ce::254',
]);

/** Systems connect to this machine when they are asked for one of these. */
const UNSPECIFIED: readonly string[] = ['0.0.0.0', '::', '64:ff9b::'];

const MAIL_PORT = 25;
/** The list of this machine's addresses is read again after this time, ms. */
const OWN_FOR_MS = 1_000;

export const LOOP = 'The relay itself listens there, and a connection to it would be a loop.';

export interface GuardRules {
  /** Ranges that are no public addresses, and may be dialled nevertheless. */
  allowPrivate: readonly string[];
  /** Connections to port 25 are allowed. */
  mail: boolean;
}

export interface GuardOptions {
  rules: GuardRules;
  /** The relay's own name: its tunnels are below it. */
  domain: string;
  /** True for the ports that the relay itself listens on. */
  isDoor: (port: number) => boolean;
  now: () => number;
  /** Addresses of this machine. Default: those of its interfaces. */
  ownAddresses?: (() => readonly string[]) | undefined;
  log: Pick<Logger, 'warn'>;
  /** Addresses that lead to this machine from outside. Default: none. */
  publicAddresses?: {readonly now: ReadonlySet<string>};
}

export class Guard {
  readonly #options: GuardOptions;
  #rules: GuardRules;
  #allowed: AddressRanges;
  readonly #own: OwnAddresses;

  constructor(options: GuardOptions) {
    this.#options = options;
    this.#rules = options.rules;
    this.#allowed = new AddressRanges(options.rules.allowPrivate);
    const {ownAddresses: read, now, log} = options;
    this.#own = new OwnAddresses({
      ...{read, now, goodForMs: OWN_FOR_MS},
      onUnknown: (error) =>
        log.warn('the addresses of this machine cannot be read, so no egress can be used', {
          reason: String(error),
        }),
    });
  }

  setRules(rules: GuardRules): void {
    this.#rules = rules;
    this.#allowed = new AddressRanges(rules.allowPrivate);
  }

  /** Before a look-up. Returns the reason for a refusal. @param name as `hostName` spells it; undefined: an address. */
  refuseHost(name: string | undefined, port: number): string | undefined {
    if (port === MAIL_PORT && !this.#rules.mail) return 'This relay makes no connections to port 25 (mail).';
    if (name === undefined) return undefined;
    return this.refuseName(name);
  }

  /** For a look-up alone. */
  refuseName(name: string): string | undefined {
    const {domain} = this.#options;
    if (name === domain || name.endsWith(`.${domain}`))
      return 'This name belongs to the relay itself, and a connection to it would be a loop.';
    return undefined;
  }

  /**
   * For the address that will be dialled, and no other one. Returns the reason for a refusal.
   *
   * @throws while the addresses of this machine have never been known
   */
  refuseAddress(address: string, port: number): string | undefined {
    const plain = plainAddress(address);
    if (plain === undefined) return 'This is no address.';
    const inner = embeddedIPv4(plain);
    const all = inner === undefined ? [plain] : [plain, inner];
    if (all.some((each) => METADATA.has(each)))
      return 'The address is a metadata service, which no egress reaches.';
    const kind = addressKind(plain);
    const isOwn = all.some((each) => this.#isOwn(each));
    if ((isOwn || isLoopback(plain)) && this.#options.isDoor(port)) return LOOP;
    if (all.some((each) => this.#allowed.has(each))) return undefined;
    if (isOwn) return 'The address belongs to the machine of the relay.';
    return kind === 'public' ? undefined : `The address is not a public one (${kind}).`;
  }

  /** Whether a look-up may tell this address: others are the network of the relay, which no agent has to know. */
  mayTell(address: string): boolean {
    return this.refuseAddress(address, 0) === undefined;
  }

  /** For a connection that is open: what the rules of now say about it. */
  refuse({port}: {port: number}, address: string): string | undefined {
    return this.refuseHost(undefined, port) ?? this.refuseAddress(address, port);
  }

  /** A connection to it stays on this machine. */
  isHere(address: string): boolean {
    const plain = plainAddress(address) ?? '';
    return isLoopback(plain) || this.#isOwn(plain);
  }

  #isOwn(plain: string): boolean {
    const own = this.#own.find();
    if (own === undefined) throw new Error('the addresses of this machine are unknown');
    return own.has(plain) || this.#options.publicAddresses?.now.has(plain) === true;
  }
}

function isLoopback(plain: string): boolean {
  return UNSPECIFIED.includes(plain) || addressKind(plain) === 'loopback';
}

/** NAT64's own prefix leads to the IPv4 address in its last 32 bits. */
function embeddedIPv4(plain: string): string | undefined {
  const rest = /^64:ff9b::(?:([0-9a-f]{1,4}):)?([0-9a-f]{1,4})$/.exec(plain);
  if (rest === null) return plain === '64:ff9b::' ? '0.0.0.0' : undefined;
  const [high, low] = [rest[1] ?? '0', rest[2] ?? '0'].map((group) => Number.parseInt(group, 16)) as [
    number,
    number,
  ];
  return [high >> 8, high & 255, low >> 8, low & 255].join('.');
}
