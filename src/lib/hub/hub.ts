// A hub: its sessions, its API behind a tunnel of its own, and its users.

import {availableParallelism} from 'node:os';
import type {ForwardOptions, Tunnel} from '../agent/options.js';
import {type Clock, systemClock} from '../core/clock.js';
import {TunlError} from '../core/errors.js';
import {createLogger, type LogSink} from '../core/logger.js';
import {listenPrivately} from '../core/private-socket.js';
import {openStateDir} from '../core/state-dir.js';
import {forward} from '../forward.js';
import {Callers} from './api/callers.js';
import {IssuerSignIn, type IssuerSignInOptions} from './api/issuer-sign-in.js';
import {Pages} from './api/pages.js';
import {addressOf, HubServer} from './api/server.js';
import type {Floors} from './capacity.js';
import {Homes} from './homes.js';
import {type HubSockets, OPERATOR, takeSockets} from './operator.js';
import type {HubSandboxes} from './sandboxes.js';
import {SessionFolder} from './session-folder.js';
import {Sessions} from './sessions.js';
import type {Template} from './template.js';
import {HubTokens} from './tokens.js';
import {HubUsers} from './users.js';

export interface HubOptions {
  readonly stateDir: string;
  /** In the order of the page; a request without a template gets the first. */
  readonly templates: readonly Template[];
  readonly sandboxes: HubSandboxes;
  /** The relay and how to reach it. */
  readonly forward: Omit<ForwardOptions, 'onEvent' | 'stateDir' | 'log'>;
  /** The subdomain of the hub. Default `hub`. */
  readonly name?: string;
  /** Default 100. */
  readonly mostSessions?: number;
  /** Default: the number of cores. */
  readonly startsAtOnce?: number;
  /** Default 100. */
  readonly mostQueued?: number;
  /** Default: 256 MiB of memory, 512 MiB of disk. */
  readonly floors?: Partial<Floors>;
  /** How long a request waits for its session, ms. Default 60,000. */
  readonly readyTimeoutMs?: number;
  /** People sign in there as well. */
  readonly issuer?: IssuerSignInOptions | undefined;
  readonly clock?: Clock;
  readonly log?: LogSink | undefined;
  readonly onEvent?: ForwardOptions['onEvent'];
}

const MIB = 1024 ** 2;

export class Hub {
  readonly users: HubUsers;
  readonly sessions: Sessions;
  readonly tunnel: Tunnel;
  readonly #tokens: HubTokens;
  readonly #servers: readonly HubServer[];
  readonly #sockets: HubSockets;
  #closing: Promise<void> | undefined;
  /** Settles when the hub has ended: rejects with the reason when its tunnel failed. */
  readonly closed: Promise<void>;

  constructor(parts: {
    users: HubUsers;
    sessions: Sessions;
    tunnel: Tunnel;
    tokens: HubTokens;
    servers: readonly HubServer[];
    sockets: HubSockets;
  }) {
    this.users = parts.users;
    this.sessions = parts.sessions;
    this.tunnel = parts.tunnel;
    this.#tokens = parts.tokens;
    this.#servers = parts.servers;
    this.#sockets = parts.sockets;
    // Nobody reaches a hub without its tunnel, which may also end by the signal or at the relay.
    this.closed = this.tunnel.closed.finally(() => this.close());
    // A caller need not watch it.
    this.closed.catch(() => {});
  }

  /** `https://hub.r1.example.net` */
  get url(): string {
    return this.tunnel.url;
  }

  /** Sessions run on, and the next hub takes them over. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.sessions.close();
    await this.tunnel.close();
    await Promise.all(this.#servers.map((each) => each.close()));
    this.#tokens.registry.close();
    release(this.#sockets);
  }
}

/**
 * Starts a hub and resolves when its address answers. Sessions of an earlier hub with the same state folder go on.
 *
 * @throws TunlError HUB_TEMPLATE_UNKNOWN without a template, STATE_DIR, or an error of `forward`
 */
export async function startHub(options: HubOptions): Promise<Hub> {
  const {stateDir, clock = systemClock, readyTimeoutMs = 60_000} = options;
  const log = createLogger('hub', options.log);
  const templates = new Map(options.templates.map((each) => [each.name, each]));
  if (templates.size === 0)
    throw new TunlError('HUB_TEMPLATE_UNKNOWN', {
      reason: 'The hub has no template.',
      next: 'Add one to hub.yaml.',
    });
  const users = new HubUsers(stateDir);
  // Read once, so that a damaged file is an error of the start.
  await users.list();
  const tokens = new HubTokens(stateDir, clock);
  await openStateDir(stateDir, 'hub');
  let tunnel: Tunnel | undefined;
  const urlOf = () => tunnel?.url ?? '';
  const sessions = new Sessions({
    templates,
    sandboxes: options.sandboxes,
    folder: await SessionFolder.open(stateDir),
    homes: new Homes(stateDir),
    stateDir,
    userById: (id) => users.byId(id),
    addressOf: (label) => besides(urlOf(), label),
    mostSessions: options.mostSessions ?? 100,
    startsAtOnce: options.startsAtOnce ?? availableParallelism(),
    mostQueued: options.mostQueued ?? 100,
    floors: {freeMemoryBytes: 256 * MIB, freeDiskBytes: 512 * MIB, ...options.floors},
    clock,
    log,
  });
  const context = {sessions, templates, readyTimeoutMs, clock, log, url: urlOf};
  const callers = new Callers({tokens: tokens.registry, userById: (id) => users.byId(id)});
  const issuer = options.issuer && new IssuerSignIn(options.issuer, {users, url: urlOf, log});
  const pages = new Pages({callers, url: urlOf, addressOf, issuer});
  const server = new HubServer({...context, callers, pages});
  let isOpen = false;
  const operator = new HubServer({
    ...context,
    callers: {
      byHeader: async () => {
        if (isOpen) return OPERATOR;
        throw new TunlError('HUB_AWAY', {reason: 'The hub is starting.', next: 'Try again in a moment.'});
      },
    },
  });
  const servers = [server, operator];
  const sockets = await takeSockets(stateDir, operator.server);
  try {
    await tokens.registry.start();
    tunnel = await forward(`unix:${sockets.visitors.path}`, {
      subdomain: options.name ?? 'hub',
      ...options.forward,
      // The limit for wrong tokens counts addresses.
      forwarded: true,
      stateDir,
      ...(options.log !== undefined && {log: options.log}),
      ...(options.onEvent !== undefined && {onEvent: options.onEvent}),
    });
    // Nobody is answered before the sessions of an earlier hub are known.
    await sessions.start();
    await listenPrivately(server.server, sockets.visitors.path);
    isOpen = true;
    return new Hub({users, sessions, tunnel, tokens, servers, sockets});
  } catch (error) {
    sessions.close();
    await tunnel?.close();
    await Promise.all(servers.map((each) => each.close()));
    tokens.registry.close();
    release(sockets);
    throw error;
  }
}

function release({visitors, operator}: HubSockets): void {
  visitors.release();
  operator.release();
}

/** The address of another name at the same relay. */
function besides(hubUrl: string, label: string): {url: string; host: string} {
  const {hostname, port} = new URL(hubUrl);
  const host = `${label}${hostname.slice(hostname.indexOf('.'))}`;
  return {host, url: `https://${host}${port === '' ? '' : `:${port}`}`};
}
