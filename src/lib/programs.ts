// A local program and its tunnel: both open at the same time, `ready` follows when both are up, and both end together.

import type {AddressOptions} from './agent/address-rules.js';
import type {ReadyEvent, TunnelEvent} from './agent/events.js';
import type {ForwardOptions} from './agent/options.js';
import type {LocalTunnel} from './agent/tunnel.js';
import type {PublicSides} from './agent/tunnel-requests.js';
import type {LinkFacts, LinkOptions} from './agent/upstreams/gated/links.js';
import type {SharedLink} from './agent/upstreams/gated/tunnel-gates.js';
import {PortUpstream} from './agent/upstreams/port.js';
import {TcpUpstream} from './agent/upstreams/tcp.js';
import type {Upstream} from './agent/upstreams/upstream.js';
import {atMost, systemClock} from './core/clock.js';
import {TunlError} from './core/errors.js';
import {usableState} from './core/usable-state.js';
import {forwardLater} from './forward.js';
import {exitCodeOf} from './launch/exit.js';
import {type LaunchOptions, launch} from './launch/launch.js';
import type {LoginFact, Program, PublicSide} from './launch/program.js';
import type {Place} from './launch/ready.js';
import type {Room} from './launch/room.js';
import type {RunningProgram} from './launch/running.js';
import {publicUrl} from './protocol/targets.js';

export interface ServeOptions {
  /** With `unencrypted` the program gets the TCP side as its public address. */
  forward: ForwardOptions;
  /** The program's port, its start time, and its output. */
  launch: Pick<
    LaunchOptions,
    'port' | 'bin' | 'readyTimeoutMs' | 'onOutput' | 'onNotice' | 'onStart' | 'room'
  >;
}

/** When the program has ended by itself, visitors have this long to receive its last bytes, ms. */
const LAST_BYTES_MS = 1_000;
/** When the program has ended on request, visitors have this long to see the end, ms. */
const AFTER_STOP_MS = 300;

/**
 * Resolves when the program answers and visitors can come. @throws TunlError an error of `forward`, or PROGRAM_* and others
 * of `launch`
 */
export async function serve(program: Program, options: ServeOptions): Promise<ServedProgram> {
  const {signal} = options.forward;
  const {room} = options.launch;
  const giveUp = new AbortController();
  const ends = [signal, room?.lost].filter((each) => each !== undefined);
  const either = ends.length === 0 ? giveUp.signal : AbortSignal.any([...ends, giveUp.signal]);
  const state = options.forward.stateDir ?? usableState({mustWrite: true}).path;
  const dialled = Promise.withResolvers<LocalTunnel>();
  dialled.promise.catch(() => {});
  const dial = async () => {
    dialled.resolve(
      forwardLater(nameOf(program, options), {
        ...options.forward,
        signal: either,
        onEvent: quietUntilReady(options.forward.onEvent),
      }),
    );
    return publicSide((await dialled.promise).sides);
  };
  let running: RunningProgram | undefined;
  try {
    running = await launch(program, {...options.launch, public: dial, stateDir: state, signal: either});
    const lost = dialled.promise.then(async ({closed}) => {
      await closed;
      throw new TunlError('ABORTED');
    });
    const place = await Promise.race([running.ready, lost]);
    const tunnel = await dialled.promise;
    tunnel.pointTo(upstreamAt(place, room), {
      address: running.address,
      program: program.name,
      ...loginOf(running),
    });
    return new ServedProgram(tunnel, running, program, options);
  } catch (error) {
    giveUp.abort();
    await running?.stop();
    // It is open still when the program was not found.
    await room?.close();
    // Has no effect when the tunnel was opened.
    dialled.reject(error);
    await dialled.promise.then(
      (opened) => opened.destroy(),
      () => {},
    );
    if (room?.error !== undefined) throw room.error;
    throw signal?.aborted ? new TunlError('ABORTED', {cause: error}) : error;
  }
}

function upstreamAt(place: Place, room: Room | undefined): Upstream {
  if (room === undefined) return new TcpUpstream(place);
  // As the program itself would call it.
  return new PortUpstream(`localhost:${place.port}`, place.port, (port, signal) => room.dial(port, signal));
}

/** A program and its tunnel, both ready. */
export class ServedProgram {
  /** Resolves when both have ended: the program by itself, or on request. Rejects with the error that ended the tunnel. */
  readonly closed: Promise<void>;
  readonly login: readonly LoginFact[];
  readonly #tunnel: LocalTunnel;
  readonly #program: RunningProgram;
  readonly #room: Room | undefined;
  #closing: Promise<void> | undefined;
  #exitCode = 0;

  constructor(tunnel: LocalTunnel, running: RunningProgram, program: Program, options: ServeOptions) {
    this.#tunnel = tunnel;
    this.#program = running;
    this.#room = options.launch.room;
    this.login = running.login;
    this.closed = this.#watch(program, options.forward.onEvent);
    this.closed.catch(() => {});
  }

  get ready(): ReadyEvent {
    return this.#tunnel.ready;
  }

  get rttMs(): number | undefined {
    return this.#tunnel.rttMs;
  }

  get traffic(): {bytesIn: number; bytesOut: number} {
    return this.#tunnel.traffic;
  }

  get links(): readonly LinkFacts[] {
    return this.#tunnel.links;
  }

  share(options?: LinkOptions): SharedLink {
    return this.#tunnel.share(options);
  }

  restrict(options: AddressOptions): void {
    this.#tunnel.restrict(options);
  }

  revoke(id: string): LinkFacts {
    return this.#tunnel.revoke(id);
  }

  /** The exit code of the program when it ended by itself, otherwise 0. */
  get exitCode(): number {
    return this.#exitCode;
  }

  /** Resets visitors at once and tells the program to end. */
  destroy(): void {
    this.#tunnel.destroy();
  }

  /** Tells the program to end and takes no new visitors. Open visitors may finish as long as the program serves them. */
  close({drainTimeoutMs}: {drainTimeoutMs: number}): Promise<void> {
    this.#closing ??= this.#close(drainTimeoutMs);
    return this.#closing;
  }

  async #close(drainTimeoutMs: number): Promise<void> {
    const drained = this.#tunnel.close({drainTimeoutMs});
    await this.#program.stop();
    await atMost(systemClock, AFTER_STOP_MS, drained);
    this.#tunnel.destroy();
    await drained;
  }

  async #watch(program: Program, tell: ((event: TunnelEvent) => void) | undefined): Promise<void> {
    let broken: TunlError | undefined;
    try {
      const exit = await Promise.race([this.#program.exited, this.#tunnel.closed]);
      broken = this.#room?.error;
      if (broken !== undefined) this.#tunnel.destroy();
      else if (exit !== undefined && this.#closing === undefined) {
        this.#exitCode = exitCodeOf(exit);
        tell?.({
          type: 'exited',
          program: program.name,
          ...(exit.code === null ? {} : {code: exit.code}),
          ...(exit.signal === null ? {} : {signal: exit.signal}),
          exitCode: this.#exitCode,
        });
        await this.#tunnel.close({drainTimeoutMs: LAST_BYTES_MS});
      }
      await this.#tunnel.closed;
    } finally {
      await this.#program.stop();
    }
    if (broken !== undefined) throw broken;
  }
}

/** The same program in the same folder gets the same name again. */
function nameOf({name, title}: Program, {launch: {port}}: ServeOptions): string {
  return [name, name === title ? '' : title, port ?? ''].join(' ').trim();
}

function publicSide({tls: named, tcp, local}: PublicSides): PublicSide {
  if (tcp !== undefined) return tcp;
  const tls = local ?? named;
  if (tls === undefined) throw new TunlError('CLOSED');
  return {
    ...tls,
    ...(local && named && {name: named.host}),
    url: publicUrl(tls.host, tls.port),
  };
}

function loginOf({login}: RunningProgram): {login?: Record<string, string>} {
  if (login.length === 0) return {};
  return {login: Object.fromEntries(login.map(({name, value}) => [name, value]))};
}

/** Visitors that come before the program answers are refused without an event. */
function quietUntilReady(onEvent: ForwardOptions['onEvent']): (event: TunnelEvent) => void {
  let ready = false;
  return (event) => {
    ready ||= event.type === 'ready';
    if (ready || event.type === 'reconnecting' || event.type === 'resumed') onEvent?.(event);
  };
}
