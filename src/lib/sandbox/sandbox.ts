// `Sandbox`: a program that runs isolated from this machine, with public addresses for its ports.

import type {Writable} from 'node:stream';
import type {SocketAddress} from '../agent/options.js';
import type {ExecRequest, SandboxStats} from './backend.js';
import type {LogPiece, SandboxControl, SandboxEnd, SandboxInfo, SandboxTunnel} from './control.js';
import {readEgress} from './egress-option.js';
import {ExecProcess} from './exec-process.js';
import type {SandboxOptions} from './options.js';
import {SandboxFs} from './sandbox-fs.js';
import type {EgressRules} from './spec.js';

/** The public address of one port. */
export interface PortAddress {
  readonly port: number;
  /** `https://host`; `tcp://host:port` when the token allows TCP ports alone. With `private`: with the token of its link. */
  readonly url: string;
  /** Host and port of the TLS side; undefined when the token allows TCP ports alone. */
  readonly tlsSocket?: SocketAddress | undefined;
  /** Host and port of the TCP side of an unencrypted port. */
  readonly tcpSocket?: SocketAddress | undefined;
}

export interface ExecOptions extends Omit<ExecRequest, 'command' | 'tty'> {
  /** A terminal: then everything comes on `stdout`. `true`: 80 columns and 24 rows. */
  tty?: boolean | {columns: number; rows: number; term?: string};
}

/** Ends with `terminate`, its own end, its limits, its AbortSignal, or the scope of `await using`. */
export class Sandbox implements AsyncDisposable {
  readonly id: string;
  readonly fs: SandboxFs;
  /** The standard input of the command. Undefined when another process owns the sandbox. */
  readonly stdin: Writable | undefined;
  readonly #control: SandboxControl;
  #addresses: Promise<Record<number, PortAddress>> | undefined;

  /** @internal */
  constructor(control: SandboxControl, stdin?: Writable) {
    this.#control = control;
    this.id = control.id;
    this.fs = new SandboxFs(control.files);
    this.stdin = stdin;
  }

  /**
   * Starts a command in a new sandbox. Resolves when it runs; its tunnels open meanwhile.
   *
   * @param command program and arguments. No shell reads them.
   * @throws TunlError OPTION_INVALID, EGRESS_INVALID, SANDBOX_BACKEND, SANDBOX_LIMIT, SANDBOX_EGRESS, SANDBOX_IMAGE,
   * SANDBOX_COMMAND, SANDBOX_FAILED, SANDBOX_NAME_USED, STATE_DIR, ABORTED
   */
  static async create(command: readonly string[], options: SandboxOptions = {}): Promise<Sandbox> {
    // Imported here because most programs with the library start no sandbox.
    if (options.detach) {
      const {startSupervisor} = await import('./supervisor/start.js');
      const remote = await startSupervisor(command, options);
      await remote.started();
      return new Sandbox(remote);
    }
    const {beginSandbox} = await import('./begin.js');
    const host = await beginSandbox(command, options);
    await host.started;
    return new Sandbox(host, host.stdin);
  }

  /**
   * A sandbox that runs, of this process or another one of this user: one made with `detach`, or by the command. The scope of
   * `await using` ends it, like any other.
   *
   * @param id its id, its name, or the beginning of its id
   * @throws TunlError SANDBOX_UNKNOWN, SANDBOX_ENDED, SANDBOX_SILENT, STATE_DIR
   */
  static async fromId(id: string, {stateDir}: {stateDir?: string} = {}): Promise<Sandbox> {
    const {findSandbox} = await import('./open.js');
    return new Sandbox(await findSandbox(id, stateDir));
  }

  /** All sandboxes of this user that run, oldest first. @throws TunlError STATE_DIR */
  static async list({stateDir}: {stateDir?: string} = {}): Promise<Sandbox[]> {
    const {openSandboxes} = await import('./open.js');
    return (await openSandboxes(stateDir)).map((remote) => new Sandbox(remote));
  }

  /**
   * The public addresses by port. Waits at most 50 s, once.
   *
   * @throws TunlError SANDBOX_TUNNELS, SANDBOX_ENDED, or an error of `forward`
   */
  tunnels(): Promise<Record<number, PortAddress>> {
    this.#addresses ??= this.#control
      .tunnels()
      .then(byPort)
      .catch((error: unknown) => {
        this.#addresses = undefined;
        throw error;
      });
    return this.#addresses;
  }

  /** Resolves when its readiness probe has succeeded. @throws TunlError SANDBOX_ENDED */
  async waitUntilReady(): Promise<void> {
    await this.#control.ready();
  }

  /**
   * Runs a program inside, besides the command.
   *
   * @param options.timeoutMs it is killed after this long; `wait` then says `timedOut`. Default: the life of the sandbox.
   * @throws TunlError SANDBOX_COMMAND, SANDBOX_ENDED, OPTION_INVALID
   */
  async exec(command: readonly string[], {tty, ...options}: ExecOptions = {}): Promise<ExecProcess> {
    const terminal = tty === true ? {columns: 80, rows: 24} : tty || undefined;
    const running = await this.#control.exec({
      ...options,
      command,
      ...(terminal && {tty: {term: 'xterm-256color', ...terminal}}),
    });
    return new ExecProcess(running);
  }

  /**
   * A process that `exec` has started and that still runs, by its id. One that another process of this user has started must have
   * had the option `keep`. Its output goes on where the last caller stopped reading.
   *
   * @throws TunlError SANDBOX_COMMAND, SANDBOX_ENDED
   */
  async attach(id: string): Promise<ExecProcess> {
    return new ExecProcess(await this.#control.attach(id));
  }

  /**
   * Other destinations, in place of all earlier ones. Connections that are no longer allowed are cut.
   *
   * @throws TunlError EGRESS_INVALID, SANDBOX_EGRESS, SANDBOX_ENDED
   */
  async setEgress(rules: 'none' | 'internet' | readonly string[] | EgressRules): Promise<void> {
    await this.#control.setEgress(readEgress(rules));
  }

  /**
   * Adds to its remaining life, ms. Resolves to its new end.
   *
   * @throws TunlError OPTION_INVALID, SANDBOX_ENDED
   */
  async extend(ms: number): Promise<Date | undefined> {
    const stopsAt = await this.#control.extend(ms);
    return stopsAt === undefined ? undefined : new Date(stopsAt);
  }

  /** Memory, CPU time and processes now; what is not known is left out. @throws TunlError SANDBOX_ENDED */
  async stats(): Promise<SandboxStats> {
    return await this.#control.stats();
  }

  async info(): Promise<SandboxInfo> {
    return await this.#control.info();
  }

  /**
   * The last 256 KiB of the command's output, and with `follow` the later one until the end. A slow reader loses some: the next
   * piece says how many bytes.
   */
  logs(options: {follow?: boolean; signal?: AbortSignal} = {}): AsyncIterable<LogPiece> {
    return this.#control.logs(options);
  }

  /** Resolves to the reason of its end. Never rejects. */
  async wait(): Promise<SandboxEnd> {
    return await this.#control.ended;
  }

  /** The same at once: null while it runs. */
  async poll(): Promise<SandboxEnd | null> {
    return (await this.#control.info()).end ?? null;
  }

  /** `preStop`, TERM, after ten seconds KILL. Resolves when everything is gone. Idempotent. */
  async terminate(): Promise<SandboxEnd> {
    return await this.#control.terminate();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.terminate();
  }
}

function byPort(tunnels: readonly SandboxTunnel[]): Record<number, PortAddress> {
  return Object.fromEntries(
    tunnels.map((tunnel) => {
      const [host, port] = tunnel.tcpSocket ?? [];
      return [tunnel.port, {...tunnel, url: tunnel.url ?? `tcp://${host}:${port}`}];
    }),
  );
}
