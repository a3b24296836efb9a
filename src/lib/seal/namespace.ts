// A network namespace of our own, with nothing but loopback in it, and the words that run a program there.

import type {ChildProcess} from 'node:child_process';
import type {Socket as UdpSocket} from 'node:dgram';
import type {Server, Socket} from 'node:net';
import type {Duplex, Readable} from 'node:stream';
import type {DialAnswer, DialRequest} from './dialler.js';
import type {DoorMessage} from './doors.js';
import {type RulesetOptions, ruleset} from './doorway.js';
import {HOLDER, HOSTS_DESCRIPTOR, type HolderWord} from './holder.js';
import {deadline, follow, type HolderParts, isRunning, kill, startHolder} from './holder-process.js';
import {killInside} from './leftovers.js';
import {RESOLVER_ADDRESS} from './name-table.js';
import {cannotJoin, closeFiles, fileOf, type NamespaceFiles, openFiles} from './namespace-files.js';
import type {NamespaceEvents, NamespaceOptions} from './namespace-options.js';
import {insideWords, joining, newNamespaces, type PrefixOptions} from './namespace-words.js';
import {
  holderObstacle,
  isPrivileged,
  lateObstacle,
  missing,
  NO_LISTENERS,
  namespaceObstacle,
  type Obstacle,
  sealError,
  systemObstacle,
} from './obstacles.js';
import {
  cannotHaveProcesses,
  endFirst,
  FIRST_PROCESS,
  type FirstProcess,
  firstOf,
  hasProcessPrograms,
} from './own-processes.js';
import {PACKETS_DESCRIPTOR} from './udp/device.js';

const LAST_DOOR_MS = 2_000;

/** The step that is late when the holder does not answer. */
const STEPS: Readonly<Record<HolderWord, string>> = {
  open: 'The way out',
  routes: 'The way out',
  none: 'The end of the way out',
  udp: 'The way of UDP',
  dial: 'The program that dials inside',
  here: 'The holder',
  missed: 'The list of refused ports',
};

export class Namespace {
  readonly #child: ChildProcess;
  /** Open descriptors keep the namespaces, and their paths never lead to those of another process. */
  readonly #files: NamespaceFiles;
  readonly #isJoined: boolean;
  /** The number of the holder, among its own processes. */
  readonly #holder: string;
  readonly #first: FirstProcess | undefined;
  readonly #rules: RulesetOptions;
  /** All listeners are here. */
  readonly #complete: Promise<true>;
  readonly #lines: AsyncIterator<string>;
  readonly #said: () => Promise<string>;
  readonly #ended: Promise<undefined>;
  #steps: Promise<unknown> = Promise.resolve();
  #opening: Promise<string> | undefined;
  #isClosed = false;

  private constructor(
    child: ChildProcess,
    {
      lines,
      said,
      ended,
      files,
      isJoined,
      holder,
      first,
      rules,
      complete,
    }: HolderParts & {
      files: NamespaceFiles;
      isJoined: boolean;
      holder: string;
      first: FirstProcess | undefined;
      rules: RulesetOptions;
      complete: Promise<true>;
    },
  ) {
    this.#child = child;
    this.#lines = lines;
    this.#said = said;
    this.#ended = ended;
    this.#files = files;
    this.#isJoined = isJoined;
    this.#holder = holder;
    this.#first = first;
    this.#rules = rules;
    this.#complete = complete;
  }

  /** @throws TunlError SANDBOX_EGRESS */
  static async open(events: NamespaceEvents, options: NamespaceOptions = {}): Promise<Namespace> {
    try {
      return await Namespace.#open(events, options);
    } catch (error) {
      if (!(error instanceof NoOwnProcesses)) throw error;
      return await Namespace.#open(events, {...options, ownProcesses: false});
    }
  }

  static async #open(
    {onDoor, onResolver, onDialled, onLost}: NamespaceEvents,
    options: NamespaceOptions,
  ): Promise<Namespace> {
    const {joins, member, signal, localPorts, ownResolvConf, hidesRun, carriesUdp, maxConnections} = options;
    const ownProcesses = options.ownProcesses === true && joins === undefined && hasProcessPrograms();
    const programs = ['unshare', 'nsenter', 'setpriv', 'ip', 'nft'];
    const obstacle = missing(member === undefined ? programs : [...programs, 'hostname']);
    if (obstacle !== undefined) throw sealError(obstacle);
    signal?.throwIfAborted();
    const inUser = !isPrivileged();
    const joined = joins === undefined ? undefined : openFiles(joins.pid, inUser ? ['net', 'user'] : ['net']);
    const words =
      joins === undefined || joined === undefined
        ? newNamespaces({inUser, isMember: member !== undefined, ownProcesses})
        : joining(joined, joins.pid);
    const variables = {
      SEAL_TEXT: ownProcesses ? FIRST_PROCESS : HOLDER,
      ...(carriesUdp && {SEAL_UDP: carriesUdp}),
      ...(ownResolvConf && {SEAL_RESOLVER: RESOLVER_ADDRESS}),
      ...(hidesRun && {SEAL_HIDES_RUN: '1'}),
      ...(ownProcesses && {SEAL_HOLDER: HOLDER, SEAL_FIRST: String(process.pid)}),
      ...(member && {
        SEAL_MEMBER: member.address,
        SEAL_MEMBER_PREFIX: member.prefix,
        SEAL_MEMBER_NAME: member.name,
      }),
    };
    let child: ChildProcess;
    try {
      child = startHolder(words, variables, carriesUdp ? ['ignore', 'pipe'] : []);
    } catch (error) {
      closeFiles(joined);
      throw sealError(systemObstacle('A sealed network', error));
    }
    const complete = Promise.withResolvers<true>();
    child.on('message', (sent, handle) => {
      const message = sent as DoorMessage | DialAnswer;
      if ('dialled' in message) onDialled(message, handle as Socket | undefined);
      else if ('door' in message) onDoor(handle as Server);
      else if ('resolver' in message) onResolver(handle as unknown as UdpSocket);
      else complete.resolve(true);
    });
    const parts = follow(child);
    const up = await deadline(Promise.race([parts.lines.next(), parts.ended]));
    let files = joined;
    try {
      if (!isUp(up?.value)) {
        const said = await parts.said();
        if (up === undefined && isRunning(child)) throw sealError(lateObstacle('The namespace'));
        if (ownProcesses && cannotHaveProcesses(up?.value, said)) throw new NoOwnProcesses();
        throw joins === undefined ? sealError(startObstacle(up?.value, said)) : cannotJoin(joins.pid, said);
      }
      files ??= openFiles(child.pid, [
        ...(['net', 'mnt'] as const),
        ...(inUser ? (['user'] as const) : []),
        ...(member === undefined ? [] : (['uts'] as const)),
        ...(ownProcesses ? (['pid'] as const) : []),
      ]);
      signal?.throwIfAborted();
    } catch (error) {
      kill(child);
      await parts.ended;
      closeFiles(files);
      throw error;
    }
    const namespace = new Namespace(child, {
      ...parts,
      files,
      isJoined: joined !== undefined,
      holder: up?.value?.split(' ')[2] ?? '',
      first: ownProcesses ? firstOf(child) : undefined,
      rules: {
        ...{localPorts, ownAddress: member?.address, maxConnections},
        carriesUdp: carriesUdp !== undefined,
        prefix: member?.prefix,
      },
      complete: complete.promise,
    });
    let isLost = false;
    const lose = (detail: string) => {
      if (!namespace.#isClosed && !isLost) onLost(detail);
      isLost = true;
    };
    child.once('exit', (code, by) => lose(`its holder ended (${by ?? code})`));
    // In a process namespace it ends the holder.
    if (!ownProcesses)
      (child.stdio.at(5) as Readable).resume().once('close', () => lose('its dialling program ended'));
    return namespace;
  }

  /** The path of the network namespace, for programs that join it. It is gone when the seal is closed. */
  get path(): string {
    return fileOf(this.#files.net);
  }

  /** Packets of UDP and the helper's words, each with its length before it. */
  get packets(): Duplex | undefined {
    return (this.#child.stdio as readonly unknown[])[PACKETS_DESCRIPTOR] as Duplex | undefined;
  }

  /** The path of /etc/hosts of a member of a private network. */
  get hostsPath(): string {
    const {pid} = this.#child;
    // The holder's number has its meaning in its own /proc.
    const holder = this.ownProcesses ? `/proc/${pid}/root/proc/${this.#holder}` : `/proc/${pid}`;
    return `${holder}/fd/${HOSTS_DESCRIPTOR}`;
  }

  /** The process that `prefix` starts waits for the command, which is its child. */
  get ownProcesses(): boolean {
    return this.#files.pid !== undefined;
  }

  /** A process in the namespaces, as long as they are open. */
  get pid(): number {
    return this.#child.pid ?? -1;
  }

  /**
   * Resolves with the answer, mostly an empty one. @throws TunlError SANDBOX_EGRESS, also for each later word but `here` when
   * `open` has failed: the holder gets the rules only once, so a second `open` would be one without them
   */
  tell(word: HolderWord): Promise<string> {
    const before = word === 'here' ? undefined : this.#opening;
    const step = this.#steps.then(async () => {
      await before;
      this.#child.stdin?.write(`${word}\n`);
      if (word === 'open') (this.#child.stdio[4] as NodeJS.WritableStream).end(ruleset(this.#rules));
      const line = await deadline(Promise.race([this.#lines.next(), this.#ended]));
      if (line === undefined && isRunning(this.#child)) throw sealError(lateObstacle(STEPS[word]));
      const [said, code, ...more] = (line?.value ?? '').split(' ');
      if (said !== word || code !== '0')
        throw sealError(holderObstacle(Number(code ?? 75), await this.#said()));
      // The holder's answers and the listeners come on two channels, which have no common order.
      if (word === 'open' && (await deadline(this.#complete, LAST_DOOR_MS)) !== true)
        throw sealError(holderObstacle(NO_LISTENERS, await this.#said()));
      return more.join(' ');
    });
    if (word === 'open') this.#opening ??= step;
    this.#steps = step.catch(() => {});
    return step;
  }

  /** Resolves when the holder has answered, or its end has been told. */
  async answered(): Promise<void> {
    // Its output may end before it does.
    await this.tell('here').catch(() => this.#ended);
  }

  /** To the program that dials, once `tell('dial')` has been answered. */
  send(request: DialRequest): void {
    if (this.#child.connected) this.#child.send(request);
  }

  /**
   * The words before a command that runs in the namespace, with all capabilities gone. They mean this process's descriptors:
   * only this process can use them, as long as the seal is open.
   */
  prefix(options: PrefixOptions = {}): string[] {
    return insideWords(this.#files, options);
  }

  /** Ends everything that runs in the namespace. Idempotent. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    if (this.#first !== undefined) await endFirst(this.#child, this.#first);
    kill(this.#child);
    await this.#ended;
    // The programs of a container belong to its engine.
    if (!this.#isJoined) await killInside(this.#files.net);
    closeFiles(this.#files);
  }
}

/** `up 0 NUMBER`, from the holder. */
/** A seal works here without a process namespace. */
class NoOwnProcesses extends Error {}

const isUp = (line: string | undefined): boolean => line?.startsWith('up 0 ') === true;

function startObstacle(line: string | undefined, said: string): Obstacle {
  const code = /^up (\d+)$/.exec(line ?? '')?.[1];
  return code === undefined ? namespaceObstacle(said) : holderObstacle(Number(code), said);
}
