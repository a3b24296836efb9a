// A sealed network for programs: TCP leaves it only to the destinations that the rules allow, and nothing else leaves it.
//
// The namespace has no device but loopback, so there is no way out except through this process. What a program does with its
// own side of it can only cost the program its connections.

import {type ChildProcess, spawn} from 'node:child_process';
import {once} from 'node:events';
import type {Socket} from 'node:net';
import {childEnv} from '../core/child-env.js';
import {TunlError, toTunlError} from '../core/errors.js';
import {createLogger} from '../core/logger.js';
import type {DialAnswer} from './dialler.js';
import {Gatekeeper} from './gatekeeper.js';
import {deadline} from './holder-process.js';
import {HostsFile, publicHosts} from './hosts-file.js';
import {type InsideDial, InsideDials} from './inside-dials.js';
import {type MemberHost, MemberNames} from './member-network.js';
import {MissedWatch, type OnMissed} from './missed.js';
import {Namespace} from './namespace.js';
import type {PrefixOptions} from './namespace-words.js';
import {holderObstacle, NO_HOSTS, type Obstacle, sealError} from './obstacles.js';
import {killsCommand} from './own-processes.js';
import {Routes} from './routes.js';
import {checkSealRules, type SealRules} from './rules.js';
import type {Seal, SealedOptions, SealOptions} from './seal-options.js';
import type {IncomingFlow, WayBack, WayIn} from './udp/incoming-flows.js';
import {SealUdp, type UdpState, udpObstacle} from './udp/seal-udp.js';

export type {Seal, SealedOptions, SealOptions} from './seal-options.js';

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
  const udpWays = datagramsOut !== undefined ? 'all' : member?.datagramsOut && 'members';
  const obstacle = udpWays && udpObstacle();
  const onLost = (detail: string) => {
    log.warn('the seal is lost', {detail});
    if (seal !== undefined) seal.lostBecause = detail;
    void seal?.close().then(() => options.onLost?.(detail));
  };
  // Read before the namespace is made: nothing else happens between that and the seal, so neither an abort nor the namespace's
  // end is missed.
  const lines = names && [...names.ownLines, ...(rules.kind === 'none' ? [] : await publicHosts())];
  const namespace = await Namespace.open(
    {
      onDoor: (server) => keeper.addDoor(server),
      onResolver: (socket) => keeper.addResolver(socket),
      onDialled: (answer, socket) => seal?.dialled(answer, socket),
      onLost,
    },
    {...options, carriesUdp: obstacle === undefined ? udpWays : undefined},
  );
  const hosts = lines && (await openHosts(namespace, lines));
  seal = new OpenSeal(namespace, keeper, {
    hasDialler,
    udp:
      udpWays &&
      new SealUdp({
        out: datagramsOut,
        member: member?.datagramsOut && {address: member.address, out: member.datagramsOut},
        ...{pipe: namespace.packets, obstacle, onLost, onUnreachable},
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

async function openHosts(namespace: Namespace, lines: readonly string[]): Promise<HostsFile> {
  try {
    return new HostsFile(namespace.hostsPath, lines);
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

/** A holder that lives answers at once. One that dies does so while the machine is busy with the end of its programs, ms. */
const HERE_MS = 5_000;

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
  readonly #routes: Routes;
  #closing: Promise<void> | undefined;
  #isReady = false;

  constructor(namespace: Namespace, keeper: Gatekeeper, {hasDialler, udp, member}: OpenSealOptions) {
    this.#udp = udp;
    this.#hasDialler = hasDialler;
    this.#namespace = namespace;
    this.#keeper = keeper;
    this.#names = member?.names;
    this.#hosts = member?.hosts;
    this.#routes = new Routes((word) => namespace.tell(word));
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
    this.ready.then(
      () => {
        this.#isReady = true;
      },
      () => {},
    );
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

  get ownProcesses(): boolean {
    return this.#namespace.ownProcesses;
  }

  get connections(): number {
    return this.#keeper.connections;
  }

  get movedBytes(): number {
    return this.#keeper.movedBytes;
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
    if (this.#namespace.ownProcesses) killsCommand(child);
    this.#children.add(child);
    child.once('exit', () => this.#children.delete(child));
    child.once('error', () => this.#children.delete(child));
    return child;
  }

  dialInside(dial: InsideDial): Promise<Socket> {
    return this.#dials.dial(dial);
  }

  takeFlow(flow: IncomingFlow, back: WayBack): WayIn | undefined {
    return this.#udp?.enter(flow, back);
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
    await this.#routes.set(rules.kind !== 'none' || this.#names !== undefined);
  }

  async whyLost(): Promise<string | undefined> {
    // The end of the holder is known when it has not answered.
    if (this.#closing === undefined) await this.#ask();
    return this.lostBecause;
  }

  async #ask(): Promise<void> {
    if (!this.#isReady || this.lostBecause !== undefined) return;
    await deadline(this.#namespace.answered(), HERE_MS);
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#keeper.close();
    this.#udp?.close();
    this.#missed?.end();
    await this.#ask();
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
