// The network of several members on one machine: each has namespaces of its own, joined by a pair of devices to a hub that
// forwards in the kernel. As an ordinary user all of it stands in one user namespace.

import type {ChildProcess} from 'node:child_process';
import type {Socket as UdpSocket} from 'node:dgram';
import {closeSync, openSync} from 'node:fs';
import type {Server, Socket} from 'node:net';
import {TunlError} from '../../core/errors.js';
import {createLogger, type LogSink} from '../../core/logger.js';
import type {DoorMessage} from '../doors.js';
import {Gatekeeper} from '../gatekeeper.js';
import {InsideDials} from '../inside-dials.js';
import type {Outstanding} from '../last-bytes.js';
import {isPrivileged, missing, type Obstacle, systemObstacle} from '../obstacles.js';
import {childOf} from '../own-processes.js';
import type {Refusal} from '../refusals.js';
import {memberAddresses} from './addresses.js';
import {startHubDialler} from './hub-dialler.js';
import {HubProcess} from './hub-process.js';
import {type MemberCommand, type MemberProcess, type NamespaceFiles, startInside} from './member-process.js';
import {fabricObstacle} from './obstacles.js';
import {ranks, step} from './step.js';

export interface FabricOptions {
  readonly size: number;
  /** 48 bits, like `fdaa:5137:3ebf`. */
  readonly prefix: string;
  /** The lines of /etc/hosts before those of this machine. Each member adds its own aliases. */
  readonly hosts: string;
  /** Members reach public addresses, and names are looked up for them. */
  readonly hasWayOut: boolean;
  readonly log?: LogSink | undefined;
  readonly onRefused?: ((refusal: Refusal) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Those of one member; all have the same user and process namespace. */
interface Member {
  readonly net: number;
  readonly mount: number;
  readonly uts: number;
}

interface Hub {
  readonly user: number | undefined;
  readonly pid: number;
  readonly net: number;
}

const PROGRAMS = ['unshare', 'nsenter', 'setpriv', 'setsid', 'ip', 'mount', 'hostname'];

export class Fabric {
  readonly #hub: HubProcess;
  readonly #keeper: Gatekeeper | undefined;
  readonly #prefix: string;
  #files: Hub | undefined;
  readonly #members: Member[] = [];
  /** All descriptors of namespaces. */
  readonly #opened: number[] = [];
  readonly #dials: InsideDials;
  #dialler: ChildProcess | undefined;
  #closing: Promise<void> | undefined;

  private constructor(hub: HubProcess, keeper: Gatekeeper | undefined, prefix: string) {
    this.#hub = hub;
    this.#keeper = keeper;
    this.#prefix = prefix;
    this.#dials = new InsideDials({
      start: async () => {
        if (this.#files === undefined) throw new TunlError('CLOSED');
        const {user, net} = this.#files;
        this.#dialler = startHubDialler(
          {user, net},
          {
            onAnswer: (answer, socket) => this.#dials.take(answer, socket),
            onEnded: () => this.#dials.lose(),
          },
        );
      },
      send: (request) => void (this.#dialler?.connected && this.#dialler.send(request)),
    });
  }

  /** @throws TunlError CLUSTER_UNAVAILABLE, CLUSTER_INCOMPLETE */
  static async open(options: FabricOptions): Promise<Fabric> {
    const {hasWayOut, hosts, signal} = options;
    const obstacle = missing(hasWayOut ? [...PROGRAMS, 'nft'] : PROGRAMS);
    if (obstacle !== undefined) throw unavailable(obstacle);
    signal?.throwIfAborted();
    const inUser = !isPrivileged();
    const keeper = hasWayOut ? gatekeeper(options) : undefined;
    const hub = startHub(options, hosts, inUser);
    const fabric = new Fabric(hub, keeper, options.prefix);
    const abort = () => void fabric.close();
    signal?.addEventListener('abort', abort);
    try {
      const complete = fabric.#takeDoors();
      await fabric.#begin(options.size, inUser);
      if (hasWayOut) {
        const first = await step(() => 'The way out of the members', Promise.race([complete, hub.ended]));
        if (first !== 'complete') throw unavailable(fabricObstacle(hub.child.exitCode, hub.said));
      }
    } catch (error) {
      await fabric.close();
      signal?.throwIfAborted();
      throw error;
    } finally {
      signal?.removeEventListener('abort', abort);
    }
    void hub.ended.then(() => fabric.close());
    return fabric;
  }

  start(rank: number, command: MemberCommand): MemberProcess {
    return startInside(this.#filesOf(rank), command);
  }

  /** A connection to a port of a member, which sees the hub as its peer. @throws Error ECONNREFUSED and others */
  dialInside(rank: number, port: number, signal?: AbortSignal): Promise<Socket> {
    const {v6, v4} = memberAddresses(this.#prefix, rank);
    // Some programs listen on IPv4 only: Dask's dashboard, when it is told no host.
    return this.#dials.dial({port, address: [v6, v4], signal});
  }

  /** Connections of the members to the outside. */
  get outstanding(): Outstanding {
    const {connections = 0, movedBytes = 0} = this.#keeper ?? {};
    return {connections, bytes: 0, moved: movedBytes};
  }

  /** After `close`: the process that kept the namespaces had ended before, and with it all programs. */
  get wasLost(): boolean {
    return this.#hub.wasLost;
  }

  /** Kills everything inside. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  #filesOf(rank: number): NamespaceFiles {
    const member = this.#members[rank];
    if (this.#closing !== undefined || member === undefined || this.#files === undefined)
      throw new TunlError('CLOSED');
    return {...this.#files, ...member};
  }

  async #close(): Promise<void> {
    this.#dials.close();
    if (this.#dialler?.connected) this.#dialler.disconnect();
    this.#keeper?.close();
    await this.#hub.end();
    for (const file of this.#opened.splice(0)) closeSync(file);
  }

  /** Resolves when all listeners have come. */
  #takeDoors(): Promise<'complete'> {
    const {promise, resolve} = Promise.withResolvers<'complete'>();
    this.#hub.child.on('message', (sent, handle) => {
      const message = sent as DoorMessage;
      if (this.#closing !== undefined) (handle as Server | undefined)?.close();
      else if ('door' in message) this.#keeper?.addDoor(handle as Server);
      else if ('resolver' in message) this.#keeper?.addResolver(handle as unknown as UdpSocket);
      else resolve('complete');
    });
    return promise;
  }

  async #begin(size: number, inUser: boolean): Promise<void> {
    const hub = this.#hub;
    const pids = new Map<number, string>();
    let isUp = false;
    const missingRanks = () =>
      Array.from({length: size}, (_, rank) => rank).filter((rank) => !pids.has(rank));
    const slow = () => (isUp ? `The network of ${ranks(missingRanks())}` : 'The network between the members');
    while (!isUp || pids.size < size) {
      const line = await step(slow, hub.line());
      const [word, rank, about] = line?.split(' ') ?? [];
      if (word === 'up') isUp = true;
      else if (word === 'member' && about !== undefined) pids.set(Number(rank), about);
      else
        throw unavailable(fabricObstacle(word === 'failed' ? Number(about) : hub.child.exitCode, hub.said));
    }
    const {pid} = hub.child;
    const open = (path: string) => {
      const file = openSync(path, 'r');
      this.#opened.push(file);
      return file;
    };
    const ofHub = (name: string) => open(`/proc/${pid}/ns/${name}`);
    try {
      this.#files = {
        user: inUser ? ofHub('user') : undefined,
        pid: ofHub('pid_for_children'),
        net: ofHub('net'),
      };
      // Numbers of processes inside have their meaning in its own /proc.
      const first = childOf(pid);
      for (let rank = 0; rank < size; rank += 1) {
        const inside = `/proc/${first}/root/proc/${pids.get(rank)}/ns`;
        this.#members.push({
          net: open(`${inside}/net`),
          mount: open(`${inside}/mnt`),
          uts: open(`${inside}/uts`),
        });
      }
    } catch (error) {
      throw cannotOpen(error);
    }
    hub.tell('link');
    const [word, code] = (await step(() => 'The links between the members', hub.line()))?.split(' ') ?? [];
    if (word !== 'link' || code !== '0') throw unavailable(fabricObstacle(Number(code), hub.said));
  }
}

function startHub(plan: FabricOptions, hosts: string, inUser: boolean): HubProcess {
  try {
    return new HubProcess(plan, hosts, inUser);
  } catch (error) {
    throw cannotOpen(error);
  }
}

/** The hub has ended, or this process may have no more descriptors. */
const cannotOpen = (error: unknown): TunlError =>
  unavailable(systemObstacle('The network of the members', error));

const unavailable = ({why, mend}: Obstacle): TunlError =>
  new TunlError('CLUSTER_UNAVAILABLE', {reason: why, next: mend});

function gatekeeper({log, onRefused}: FabricOptions): Gatekeeper {
  return new Gatekeeper({
    rules: {kind: 'internet'},
    log: createLogger('cluster', log),
    onRefused: (refusal) => onRefused?.(refusal),
  });
}
