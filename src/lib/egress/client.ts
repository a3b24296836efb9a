// Connections that leave by an egress of a relay, and look-ups with that relay's DNS.

import type {OpenOptions} from '../agent/opens.js';
import {refusedStream, StreamRefusal, streamCodeOf} from '../agent/refused-stream.js';
import type {StreamDuplex} from '../bytes/stream-duplex.js';
import {type ErrorCode, errorForPeer, systemCode, TunlError} from '../core/errors.js';
import type {Stream} from '../mux/stream.js';
import type {RelayLink} from '../open-link.js';
import {
  EGRESS_SERVICE,
  type EgressOpen,
  type EgressReport,
  isEgressName,
  RESOLVE_SERVICE,
  type ResolveError,
  readEgressList,
  readResolveAnswer,
} from '../protocol/egress-messages.js';
import {MalformedMessage} from '../protocol/fields.js';
import {checkPort, formatHostPort, type HostPort} from '../protocol/targets.js';
import {KIND, type StreamCode} from '../protocol/wire.js';

export interface EgressClientOptions {
  /** The name of the egress at the relay. */
  egress: string;
  /** Spread connections over all addresses of the egress. Default: a destination always sees the same one. */
  spread?: boolean;
}

export interface DialOptions {
  signal?: AbortSignal | undefined;
}

const HOST_CHARACTERS = 253;

const ERROR_OF: {readonly [code in StreamCode]?: ErrorCode} = {
  EGRESS_UNKNOWN: 'EGRESS_UNKNOWN',
  EGRESS_FORBIDDEN: 'EGRESS_FORBIDDEN',
  EGRESS_UNHEALTHY: 'EGRESS_UNREACHABLE',
  NAME_UNKNOWN: 'EGRESS_UNREACHABLE',
  UNREACHABLE: 'EGRESS_UNREACHABLE',
  UPSTREAM_REFUSED: 'EGRESS_UNREACHABLE',
  UPSTREAM_TIMEOUT: 'EGRESS_UNREACHABLE',
  UPSTREAM_RESET: 'EGRESS_UNREACHABLE',
};

/** In words, where the relay gives none. */
const REASON_OF: {readonly [code in StreamCode]?: string} = {
  EGRESS_UNKNOWN: 'The relay has no such egress',
  EGRESS_FORBIDDEN: 'The relay does not connect to this destination',
  EGRESS_UNHEALTHY: 'No address of the egress can be used now',
  NAME_UNKNOWN: 'The name does not exist',
  UNREACHABLE: 'There is no way to the destination',
  UPSTREAM_REFUSED: 'The destination does not accept connections on this port',
  UPSTREAM_TIMEOUT: 'The destination does not answer',
  UPSTREAM_RESET: 'The destination broke the connection',
  TOO_MANY_STREAMS: 'Too many connections are open',
  KIND_UNKNOWN: 'The relay offers no egress',
  SERVICE_UNKNOWN: 'The relay offers no egress',
};

const LOOK_UP_ERRORS: Readonly<Record<ResolveError, readonly [code: ErrorCode, reason: string]>> = {
  ENOTFOUND: ['EGRESS_UNREACHABLE', 'has no address that the egress can reach'],
  EAGAIN: ['EGRESS_UNREACHABLE', 'cannot be looked up: no name server of the relay answers'],
  EBUSY: ['RELAY_BUSY', 'cannot be looked up: too many look-ups'],
  EACCES: ['EGRESS_FORBIDDEN', 'is a name that the relay does not connect to'],
};

export class EgressClient {
  readonly egress: string;
  readonly #link: RelayLink;
  readonly #spread: boolean;

  /** @throws TunlError EGRESS_UNKNOWN */
  constructor(link: RelayLink, {egress, spread = false}: EgressClientOptions) {
    checkEgressName(egress);
    this.#link = link;
    this.egress = egress;
    this.#spread = spread;
  }

  /** As `RelayLink.open`. @throws TunlError TARGET_INVALID, PORT_*, RELAY_* */
  async open(to: HostPort, options: OpenOptions): Promise<Stream> {
    return await this.#link.open(KIND.egress, this.#about(to), options);
  }

  /** False: the relay of the last link carries no UDP. */
  get carriesUdp(): boolean {
    return this.#link.features.includes('datagram');
  }

  /** A flow of UDP. @param to with `family`: that of the address that the program used. @throws as `open` */
  async openDatagrams({family, ...to}: HostPort & {family: 4 | 6}, options: OpenOptions): Promise<Stream> {
    return await this.#link.open(KIND.datagram, {...this.#about(to), family}, options);
  }

  #about({host, port}: HostPort): EgressOpen {
    const bare = host.replace(/^\[(.*)\]$/, '$1');
    if (bare.length === 0 || bare.length > HOST_CHARACTERS || !/^[!-~]+$/.test(bare))
      throw new TunlError('TARGET_INVALID', {reason: 'The destination is not a host and a port.'});
    checkPort(port);
    return {egress: this.egress, host: bare, port, spread: this.#spread};
  }

  /**
   * A connection to the destination, which sees an address of the egress. Half-closes and resets pass through, and it survives
   * a lost link as long as the relay keeps the session. @throws TunlError EGRESS_UNKNOWN, EGRESS_FORBIDDEN, EGRESS_UNREACHABLE,
   * NOT_ALLOWED, RELAY_*; `streamCodeOf` gives the relay's code
   */
  async connect(to: HostPort, {signal}: DialOptions = {}): Promise<StreamDuplex> {
    const about = this.#about(to);
    try {
      return await this.#link.connect(KIND.egress, about, signal === undefined ? {} : {signal});
    } catch (error) {
      throw egressError(error, to);
    }
  }

  /**
   * The addresses of a name, as the relay sees them. @throws TunlError EGRESS_UNREACHABLE, whose cause has the code ENOTFOUND or
   * EAGAIN; EGRESS_FORBIDDEN, RELAY_BUSY, NOT_ALLOWED, RELAY_*
   */
  async resolve(name: string, {signal}: DialOptions = {}): Promise<string[]> {
    if (name.length === 0 || name.length > HOST_CHARACTERS || !/^[!-~]+$/.test(name))
      throw lookUpError('ENOTFOUND', 'This');
    const question = {service: RESOLVE_SERVICE, egress: this.egress, name};
    const answer = await askEgress(this.#link, question, readResolveAnswer, signal);
    if ('error' in answer) throw lookUpError(answer.error, name);
    if (answer.addresses.length === 0) throw lookUpError('ENOTFOUND', name);
    return answer.addresses;
  }

  /** The egresses of the relay that the token allows. @throws TunlError RELAY_LACKS_FEATURE, NOT_ALLOWED, RELAY_* */
  async list({signal}: DialOptions = {}): Promise<EgressReport[]> {
    return await askEgress(this.#link, {service: EGRESS_SERVICE}, readEgressList, signal);
  }
}

async function askEgress<T>(
  link: RelayLink,
  question: {service: string},
  read: (answer: unknown) => T,
  signal: AbortSignal | undefined,
): Promise<T> {
  try {
    return read(await link.ask(question, signal === undefined ? {} : {signal}));
  } catch (error) {
    if (error instanceof MalformedMessage)
      throw new TunlError('RELAY_LOST', {reason: 'The relay’s answer cannot be read.', cause: error});
    throw egressError(error, undefined);
  }
}

/** As `EgressClient.list`, without a name of an egress. */
export async function listEgresses(link: RelayLink, {signal}: DialOptions = {}): Promise<EgressReport[]> {
  return await askEgress(link, {service: EGRESS_SERVICE}, readEgressList, signal);
}

/** A command must not start behind an egress that does not exist. @throws TunlError EGRESS_UNKNOWN, RELAY_* */
export async function addressesOf(
  link: RelayLink,
  name: string,
  signal: AbortSignal | undefined,
): Promise<string[]> {
  const all = await listEgresses(link, {signal});
  const found = all.find((each) => each.name === name);
  if (found !== undefined) return found.addresses.map(({address}) => address);
  const names = all.map((each) => each.name).join(', ');
  throw new TunlError('EGRESS_UNKNOWN', {
    reason: `The relay offers no egress ${name} to this token.`,
    next:
      names === ''
        ? 'The operator of the relay adds egresses, and a token needs the scope egress:NAME.'
        : `It offers ${names}.`,
  });
}

/** @throws TunlError EGRESS_UNKNOWN */
export function checkEgressName(name: string): string {
  if (isEgressName(name)) return name;
  throw new TunlError('EGRESS_UNKNOWN', {
    reason: `${JSON.stringify(name.slice(0, 80))} is no name of an egress.`,
  });
}

/** For a stream of kind `egress` that was refused. */
export function egressRefusal(code: StreamCode, message: string | undefined, to: HostPort): TunlError {
  return egressError(refusedStream(code, message), to) as TunlError;
}

/** The error for a user of an egress. Errors that are not about a stream stay as they are. */
function egressError(error: unknown, to: HostPort | undefined): unknown {
  const code = streamCodeOf(error);
  if (code === undefined || !(error instanceof TunlError)) return error;
  const isTold = error.cause instanceof StreamRefusal && error.cause.isTold;
  const own = REASON_OF[code];
  const where = to === undefined ? '' : `: ${formatHostPort(to.host, to.port)}`;
  const reason = isTold || own === undefined ? error.message : `${own}${where}.`;
  return errorForPeer(ERROR_OF[code] ?? error.code, {reason, cause: error.cause});
}

function lookUpError(code: ResolveError, name: string): TunlError {
  const [own, reason] = LOOK_UP_ERRORS[code];
  const cause = Object.assign(new Error(code), {code});
  return errorForPeer(own, {reason: `${name} ${reason}.`, cause});
}

/** The code of a failed look-up, for a resolver that answers with it; undefined for other errors. */
export function lookUpCodeOf(error: unknown): ResolveError | undefined {
  const code = error instanceof TunlError ? systemCode(error.cause) : '';
  return code in LOOK_UP_ERRORS ? (code as ResolveError) : undefined;
}
