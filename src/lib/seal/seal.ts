// A sealed network for programs: TCP leaves it only to the destinations that the rules allow, and nothing else leaves it.
//
// The namespace has no device but loopback, so there is no way out except through this process. What a program does with its
// own side of it can only cost the program its connections.

import {type ChildProcess, type SpawnOptions, spawn} from 'node:child_process';
import {once} from 'node:events';
import type {Socket} from 'node:net';
import {childEnv} from '../core/child-env.js';
import {TunlError, toTunlError} from '../core/errors.js';
import {createLogger, type LogSink} from '../core/logger.js';
import type {ResolveName} from '../net/name-lookup.js';
import type {DialAnswer} from './dialler.js';
import {Gatekeeper} from './gatekeeper.js';
import {HostsFile, publicHosts} from './hosts-file.js';
import {type InsideDial, InsideDials} from './inside-dials.js';
import {type MemberHost, MemberNames, type MemberNetwork} from './member-network.js';
import {MissedWatch, type OnMissed} from './missed.js';
import {Namespace, type PrefixOptions, type SealedView} from './namespace.js';
import {holderObstacle, NO_HOSTS, type Obstacle, sealError} from './obstacles.js';
import type {DialOut} from './passage.js';
import type {Refusal} from './refusals.js';
import {checkSealRules, type SealRules} from './rules.js';
import type {DatagramsOut} from './udp/flows.js';
import {SealUdp, type UdpState, udpObstacle} from './udp/seal-udp.js';

export interface SealOptions extends SealedView {
  readonly rules: SealRules;
  readonly log?: LogSink | undefined;
  /** A look-up or a connection was refused. At a bounded rate. */
  readonly onRefused?: ((refusal: Refusal) => void) | undefined;
  /** The seal broke and has been closed: its programs have ended. */
  readonly onLost?: ((detail: string) => void) | undefined;
  /** Looks up allowed names. Default: this machine's name servers and /etc/hosts. */
  readonly resolve?: ResolveName | undefined;
  /** Opens the connections. Default: this machine's network, public addresses and those that a rule names. */
  readonly dialOut?: DialOut | undefined;
  /**
   * Carries UDP. Default: UDP is refused. Where this machine cannot, it is refused as well, and `udp` of the seal has the reason.
   * Not with `joins` and `member`.
   */
  readonly datagramsOut?: DatagramsOut | undefined;
  /** An allowed destination could not be reached, or `dialOut` has refused it. */
  readonly onUnreachable?: ((host: string, port: number, error: unknown) => void) | undefined;
  /** A program inside has missed something, for the first time: UDP, or a service of this machine. */
  readonly onMissed?: OnMissed | undefined;
  /** Open connections at once. Default 512. */
  readonly maxConnections?: number | undefined;
  /**
   * Seals the network of this process instead of a new one: that of a container which has none but loopback. Closing ends its
   * ways out, and nothing else. Root can do it, and the user who owns the container.
   */
  readonly joins?: {readonly pid: number} | undefined;
  /** Makes the programs a member of a private network, beside the rules. Not with `joins`. */
  readonly member?: MemberNetwork | undefined;
  /** True: `openSeal` resolves when programs can start inside. Until `ready` they have no way out yet. */
  readonly early?: boolean | undefined;
  /** Ends the start. Later it has no effect. */
  readonly signal?: AbortSignal | undefined;
}

export type SealedOptions = PrefixOptions & Pick<SpawnOptions, 'stdio' | 'env' | 'detached'>;

export interface Seal {
  readonly rules: SealRules;
  /** The rules of the start hold. @throws TunlError SANDBOX_EGRESS; the seal is closed then */
  readonly ready: Promise<void>;
  /** The path of the network namespace, for engines that join it. It is gone when the seal is closed. */
  readonly netns: string;
  /** Connections to the outside that are open or on their way. */
  readonly connections: number;
  /** Whether UDP leaves the seal, or why not, once it is ready. Undefined: nobody carries it. */
  readonly udp: UdpState | undefined;
  /** Why the seal broke; undefined while it holds, and after `close`. */
  readonly lostBecause: string | undefined;
  /**
   * The words before a command that runs inside, without capabilities. Only this process can use them, and only while the
   * seal is open.
   */
  prefix(options?: PrefixOptions): string[];
  /** Starts a command inside. It is killed when the seal is closed. */
  spawn(argv: readonly string[], options?: SealedOptions): ChildProcess;
  /**
   * Connects to a program inside. The socket allows half-open connections.
   * @throws Error with the system's code: ECONNREFUSED for a closed port
   */
  dialInside(dial: InsideDial): Promise<Socket>;
  /** The other members of the private network from now on. */
  setHosts(hosts: readonly MemberHost[]): void;
  /** From now on only these rules hold. Connections that they do not allow are cut before this returns. @throws TunlError EGRESS_INVALID, SANDBOX_EGRESS */
  setRules(rules: SealRules): Promise<void>;
  /** Resolves when the datagrams that programs have sent so far are on their way, or after a limited time. */
  lastDatagrams(): Promise<void>;
  /** Kills everything that runs inside, and removes the namespace. Idempotent. */
  close(): Promise<void>;
}

/** @throws TunlError SANDBOX_EGRESS when this machine cannot seal a network, EGRESS_INVALID */
export async function openSeal(options: SealOptions): Promise<Seal> {
  const hasDialler = options.dialOut !== undefined;
  const rules = checkSealRules(options.rules, {hasDialler});
  const log = createLogger('seal', options.log);
  const {member} = options;
  const names = member && new MemberNames(member);
  const keeper = new Gatekeeper({
    rules,
    log,
    onRefused: (refusal) => {
      const {host, port, why} = refusal;
      log.info(
        `refused ${port === undefined ? 'to look up ' : ''}${host}${port === undefined ? '' : ` port ${port}`}: ${why}`,
      );
      options.onRefused?.(refusal);
    },
    resolve: options.resolve,
    dialOut: options.dialOut,
    onUnreachable: options.onUnreachable,
    localPorts: options.localPorts,
    maxConnections: options.maxConnections,
    member: member && names && {names, dial: member.dial},
  });
  let seal: OpenSeal | undefined;
  const {datagramsOut, onUnreachable} = options;
  const obstacle = datagramsOut && udpObstacle();
  const onLost = (detail: string) => {
    log.warn('the seal is lost', {detail});
    if (seal !== undefined) seal.lostBecause = detail;
    void seal?.close().then(() => options.onLost?.(detail));
  };
  const namespace = await Namespace.open(
    {
      onDoor: (server) => keeper.addDoor(server),
      onResolver: (socket) => keeper.addResolver(socket),
      onDialled: (answer, socket) => seal?.dialled(answer, socket),
      onLost,
    },
    {...options, carriesUdp: datagramsOut !== undefined && obstacle === undefined},
  );
  const hosts = names && (await openHosts(namespace, names, rules));
  seal = new OpenSeal(namespace, keeper, {
    hasDialler,
    udp:
      datagramsOut &&
      new SealUdp({
        ...{out: datagramsOut, pipe: namespace.packets, obstacle, onLost, onUnreachable},
        targetOf: (address, port) => keeper.datagramTarget(address, port),
      }),
    member: member && names && hosts && {address: member.address, names, hosts},
  });
  if (options.onMissed !== undefined) seal.watchMissed(options.onMissed);
  const {signal} = options;
  const abort = () => void seal?.close();
  signal?.addEventListener('abort', abort);
  void seal.ready.finally(() => signal?.removeEventListener('abort', abort)).catch(() => {});
  if (options.early === true) return seal;
  try {
    await seal.ready;
  } catch (error) {
    signal?.throwIfAborted();
    throw error;
  }
  return seal;
}

async function openHosts(namespace: Namespace, names: MemberNames, rules: SealRules): Promise<HostsFile> {
  try {
    const others = rules.kind === 'none' ? [] : await publicHosts();
    return new HostsFile(namespace.hostsPath, [...names.ownLines, ...others]);
  } catch (error) {
    await namespace.close();
    throw sealError(holderObstacle(NO_HOSTS, (error as Error).message));
  }
}

/** Why this machine cannot seal a network; undefined: it can. It seals one, and opens it again. */
export async function sealObstacle(): Promise<Obstacle | undefined> {
  try {
    await (await openSeal({rules: {kind: 'internet'}})).close();
    return undefined;
  } catch (error) {
    const {message, next} = toTunlError(error);
    return {why: message, mend: next};
  }
}

interface OpenSealOptions {
  readonly hasDialler: boolean;
  readonly udp: SealUdp | undefined;
  readonly member:
    | {readonly address: string; readonly names: MemberNames; readonly hosts: HostsFile}
    | undefined;
}

class OpenSeal implements Seal {
  readonly #namespace: Namespace;
  readonly #keeper: Gatekeeper;
  readonly #hasDialler: boolean;
  #missed: MissedWatch | undefined;
  readonly ready: Promise<void>;
  lostBecause: string | undefined;
  readonly #children = new Set<ChildProcess>();
  readonly #dials: InsideDials;
  readonly #names: MemberNames | undefined;
  readonly #hosts: HostsFile | undefined;
  readonly #udp: SealUdp | undefined;
  /** The state of the namespace: listeners and routes, listeners alone, or neither yet. */
  #way: 'open' | 'none' | 'never' = 'never';
  #closing: Promise<void> | undefined;

  constructor(namespace: Namespace, keeper: Gatekeeper, {hasDialler, udp, member}: OpenSealOptions) {
    this.#udp = udp;
    this.#hasDialler = hasDialler;
    this.#namespace = namespace;
    this.#keeper = keeper;
    this.#names = member?.names;
    this.#hosts = member?.hosts;
    this.#dials = new InsideDials({
      start: () => this.ready.then(() => namespace.tell('dial')),
      send: (request) => namespace.send(request),
      address: member?.address,
    });
    const opening = async () => {
      await this.setRules(keeper.rules);
      await udp?.open(() => namespace.tell('udp'));
    };
    this.ready = opening().catch(async (error: unknown) => {
      const cause = this.#closing === undefined ? error : closed();
      await this.close();
      throw cause;
    });
    this.ready.catch(() => {});
  }

  watchMissed(onMissed: OnMissed): void {
    const ask = () => this.#namespace.tell('missed');
    this.#missed = new MissedWatch({pid: this.#namespace.pid, ask, onMissed});
  }

  get udp(): UdpState | undefined {
    return this.#udp?.state;
  }

  async lastDatagrams(): Promise<void> {
    await this.#udp?.lastDatagrams();
  }

  get rules(): SealRules {
    return this.#keeper.rules;
  }

  get netns(): string {
    return this.#namespace.path;
  }

  get connections(): number {
    return this.#keeper.connections;
  }

  prefix(options?: PrefixOptions): string[] {
    if (this.#closing !== undefined) throw closed();
    return this.#namespace.prefix(options);
  }

  spawn(
    [...argv]: readonly string[],
    {stdio, env, detached, cwd = process.cwd(), ...user}: SealedOptions = {},
  ): ChildProcess {
    const [program = '', ...args] = [...this.prefix({...user, cwd}), ...argv];
    const child = spawn(program, args, {
      stdio: stdio ?? 'inherit',
      env: env ?? childEnv(),
      detached: detached ?? false,
    });
    this.#children.add(child);
    child.once('exit', () => this.#children.delete(child));
    child.once('error', () => this.#children.delete(child));
    return child;
  }

  dialInside(dial: InsideDial): Promise<Socket> {
    return this.#dials.dial(dial);
  }

  setHosts(hosts: readonly MemberHost[]): void {
    const names = this.#names;
    if (names === undefined) return;
    const others = hosts.filter(({address}) => !names.isOwn(address));
    names.setHosts(others);
    this.#hosts?.setHosts(others);
  }

  dialled(answer: DialAnswer, socket: Socket | undefined): void {
    this.#dials.take(answer, socket);
  }

  async setRules(rules: SealRules): Promise<void> {
    if (this.#closing !== undefined) throw closed();
    this.#keeper.setRules(checkSealRules(rules, {hasDialler: this.#hasDialler}));
    // A private network needs routes in any case; the gatekeeper refuses everything else.
    const isNone = rules.kind === 'none' && this.#names === undefined;
    if (isNone ? this.#way !== 'open' : this.#way === 'open') return;
    const word = isNone ? 'none' : this.#way === 'never' ? 'open' : 'routes';
    // Steps keep their order, so the last rules decide about the routes.
    this.#way = isNone ? 'none' : 'open';
    await this.#namespace.tell(word);
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#keeper.close();
    this.#udp?.close();
    this.#missed?.end();
    // This is the only look at a command that ends at once.
    if (this.lostBecause === undefined) await this.#missed?.look();
    this.#dials.close();
    this.#hosts?.close();
    const ends = [...this.#children].map(async (child) => {
      const exit = once(child, 'exit');
      child.kill('SIGKILL');
      await exit.catch(() => {});
    });
    await Promise.all([...ends, this.#namespace.close()]);
  }
}

const closed = (): TunlError => new TunlError('SANDBOX_EGRESS', {reason: 'The seal is closed.'});
