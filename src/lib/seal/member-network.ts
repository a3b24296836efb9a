// The private network of a sealed program: its own address and name, and the names and addresses of the other members.

import type {Duplex} from 'node:stream';
import {addressBytes, addressText} from '../net/address-bytes.js';
import type {MemberTarget} from './passage.js';
import type {DatagramsOut} from './udp/flows.js';

export interface MemberHost {
  readonly address: string;
  /** The unique name first. */
  readonly names: readonly string[];
}

export interface MemberNetwork {
  /** `fdaa:…::/48`. */
  readonly prefix: string;
  /** The own address, in the prefix. */
  readonly address: string;
  /** A DNS label, unique in the network: the host name of the program's machine. */
  readonly name: string;
  /** Every member has the name `NAME.DOMAIN` besides its label. It ends in `.tunl.internal`. */
  readonly domain: string;
  /** Opens a connection to another member. The socket must allow half-open connections. */
  readonly dial: (to: {address: string; port: number}, signal: AbortSignal) => Promise<Duplex>;
  /** Opens a flow of UDP to another member. Default: UDP to members is refused. */
  readonly datagramsOut?: DatagramsOut<MemberTarget> | undefined;
}

/** Names under it belong to private networks: nobody outside is asked for them. */
const PRIVATE_DOMAIN = 'tunl.internal';

/** The names of the own address in every private network. */
const OWN_NAMES = ['i6pn.tunl.internal', 'i6pn.modal.local'] as const;

const PREFIX_BYTES = 6;

const LOCAL_LINES = ['127.0.0.1 localhost', '::1 localhost ip6-localhost ip6-loopback'] as const;

export class MemberNames {
  readonly #own: MemberHost;
  readonly #prefix: Buffer;
  #addresses = new Map<string, string>();

  constructor({address, name, domain}: Pick<MemberNetwork, 'address' | 'name' | 'domain'>) {
    const bytes = addressBytes(address) ?? Buffer.alloc(0);
    this.#prefix = bytes.subarray(0, PREFIX_BYTES);
    this.#own = {address: addressText(bytes), names: [`${name}.${domain}`, name]};
    this.setHosts([]);
  }

  /** The lines of /etc/hosts that never change. The unique name has to come before the other own names. */
  get ownLines(): readonly string[] {
    const {address, names} = this.#own;
    return [...LOCAL_LINES, `${address} ${names.join(' ')}`, `${address} ${OWN_NAMES.join(' ')}`];
  }

  setHosts(hosts: readonly MemberHost[]): void {
    this.#addresses = new Map(
      [...hosts, this.#own, {address: this.#own.address, names: OWN_NAMES}].flatMap(({address, names}) =>
        names.map((name) => [name.toLowerCase(), address] as const),
      ),
    );
  }

  isOwn(address: string): boolean {
    return address === this.#own.address;
  }

  /** Whether it is an address of the network, in its usual spelling. */
  has(address: string): boolean {
    const bytes = addressBytes(address);
    return bytes?.length === 16 && bytes.subarray(0, PREFIX_BYTES).equals(this.#prefix);
  }

  /** The address of a name in lower case; 'none': no member has it; undefined: it is no name of the network. */
  addressOf(name: string): string | 'none' | undefined {
    const address = this.#addresses.get(name);
    if (address !== undefined) return address;
    return name === PRIVATE_DOMAIN || name.endsWith(`.${PRIVATE_DOMAIN}`) ? 'none' : undefined;
  }
}
