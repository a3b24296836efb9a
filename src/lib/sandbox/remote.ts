// A sandbox of another process of this user, over its control socket.

import {connect, type Socket} from 'node:net';
import {join} from 'node:path';
import type {Duplex, Readable} from 'node:stream';
import {setTimeout as sleep} from 'node:timers/promises';
import {StreamDuplex} from '../bytes/stream-duplex.js';
import {openLocalSession} from '../carrier/local-session.js';
import {systemClock} from '../core/clock.js';
import {systemCode, TunlError, toTunlError} from '../core/errors.js';
import {placeOf} from '../core/private-socket.js';
import {checkStateSocket} from '../core/state-trust.js';
import {MalformedMessage} from '../protocol/fields.js';
import {encodeLine} from '../protocol/lines.js';
import type {ExecRequest, FileEntry, SandboxFiles, SandboxProcess, SandboxStats} from './backend.js';
import type {LogPiece, SandboxControl, SandboxEnd, SandboxInfo, SandboxTunnel} from './control.js';
import {
  ANSWER_BYTES,
  CONTROL_SERVICE,
  type ControlRequest,
  PieceReader,
  readControlAnswer,
} from './control-wire.js';
import {StreamsClient} from './init/client.js';
import {readFirstLine} from './init/first-line.js';
import {isEnd} from './journal.js';
import {KILLED, type ListedSandbox, type SandboxRoster, SOCKET} from './roster.js';
import type {EgressRules} from './spec.js';

/** A process that was stopped (SIGSTOP) may go on after this long, ms. */
const SILENCE_MS = 30_000;
/** A sandbox that is just starting has no socket yet. */
const SOCKET_WITHIN_MS = 10_000;
const TRY_EVERY_MS = 50;
/** After the end of the connection the journal has the reason within this time, unless its writer was killed, ms. */
const JOURNAL_WITHIN_MS = 800;

export class RemoteSandbox implements SandboxControl {
  readonly id: string;
  readonly files: SandboxFiles;
  readonly #roster: SandboxRoster;
  readonly #socket: Socket;
  readonly #streams: StreamsClient;
  readonly #ended: Promise<SandboxEnd>;
  /** Calls that wait. Without one, the connection does not keep this process alive. */
  #calls = 0;
  #isClosed = false;
  /** The connection is gone although the owner runs: it was stopped, or has too many clients. */
  #isOwnerSilent = false;
  readonly #started: Promise<void> | undefined;

  private constructor(id: string, roster: SandboxRoster, socket: Socket, started?: Promise<void>) {
    this.id = id;
    this.#started = started;
    this.#roster = roster;
    this.#socket = socket;
    const over = Promise.withResolvers<void>();
    const session = openLocalSession({
      socket,
      role: 'relay',
      silenceMs: SILENCE_MS,
      sink: {
        onOpen: () => session.onViolation('the owner of a sandbox opens a stream'),
        onControl: () => session.onViolation('a control message of the owner of a sandbox'),
        onEnded: () => over.resolve(),
      },
    });
    this.#streams = new StreamsClient({session});
    this.files = new HeldFiles(this.#streams.files, (call) => this.#during(call));
    this.#ended = this.#request({do: 'wait'})
      .then(readEnd)
      .catch(() => over.promise.then(() => this.#afterLoss()));
    socket.unref();
  }

  /**
   * Connects to the owner of a sandbox that runs.
   *
   * @param started settles as `started` of the owner does, for whoever has made the owner; an error may come before the connection
   * @throws TunlError SANDBOX_ENDED, SANDBOX_SILENT, SANDBOX_UNKNOWN, STATE_DIR
   */
  static async open(
    roster: SandboxRoster,
    {journal, life, folder}: ListedSandbox,
    started?: Promise<void>,
  ): Promise<RemoteSandbox> {
    const {id} = journal;
    if (life === 'unknown') {
      throw new TunlError('SANDBOX_UNKNOWN', {
        reason: `The sandbox ${id} runs in another container, or on another machine.`,
        next: 'Use it there.',
      });
    }
    const until = systemClock.now() + SOCKET_WITHIN_MS;
    for (;;) {
      const socket = await dial(folder);
      if (socket !== undefined) return new RemoteSandbox(id, roster, socket, started);
      const now = await roster.find(id);
      if (now.life === 'ended') throw endedError(id, now.journal.end ?? KILLED);
      if (systemClock.now() > until) {
        throw new TunlError('SANDBOX_SILENT', {
          reason: `The process ${now.journal.owner.pid} owns the sandbox ${id} and does not answer.`,
        });
      }
      await sleep(TRY_EVERY_MS);
    }
  }

  /** Reading it keeps this process alive until the end. */
  get ended(): Promise<SandboxEnd> {
    return this.#during(this.#ended);
  }

  async info(): Promise<SandboxInfo> {
    return (await this.#call({do: 'info'})) as unknown as SandboxInfo;
  }

  async stats(): Promise<SandboxStats> {
    return (await this.#call({do: 'stats'})) as SandboxStats;
  }

  /** Resolves when its command runs. @throws TunlError the reason why it does not */
  async started(): Promise<void> {
    await (this.#started === undefined ? this.#call({do: 'started'}) : this.#during(this.#started));
  }

  async ready(): Promise<void> {
    await this.#call({do: 'ready'});
  }

  async tunnels(): Promise<readonly SandboxTunnel[]> {
    return (await this.#call({do: 'tunnels'})).tunnels as readonly SandboxTunnel[];
  }

  async extend(ms: number): Promise<number | undefined> {
    const {stopsAt} = await this.#call({do: 'extend', ms});
    return typeof stopsAt === 'number' ? stopsAt : undefined;
  }

  async setEgress(rules: EgressRules): Promise<void> {
    await this.#call({do: 'egress', rules});
  }

  async terminate(): Promise<SandboxEnd> {
    // The end may come before the answer.
    await this.#call({do: 'terminate'}).catch((error: unknown) => {
      if (toTunlError(error).code !== 'SANDBOX_ENDED') throw error;
    });
    return await this.ended;
  }

  async exec({keep = false, ...request}: ExecRequest): Promise<SandboxProcess> {
    return await this.#joined(this.#streams.exec(request, {keep}));
  }

  async attach(id: string): Promise<SandboxProcess> {
    return await this.#joined(this.#streams.attach(id));
  }

  async #joined(started: Promise<SandboxProcess>): Promise<SandboxProcess> {
    const inside = await this.#during(this.#named(started));
    const exit = this.#during(this.#named(inside.exit));
    exit.catch(() => {});
    const {id, stdin, stdout, stderr} = inside;
    return {
      id,
      stdin,
      stdout,
      stderr,
      exit,
      signal: (signal) => inside.signal(signal),
      resize: (columns, rows) => inside.resize(columns, rows),
    };
  }

  async dial(port: number, signal?: AbortSignal): Promise<Duplex> {
    const connection = await this.#during(this.#streams.dial(port, signal));
    void this.#during(new Promise<void>((resolve) => connection.once('close', resolve)));
    return connection;
  }

  async *logs({
    follow = false,
    signal,
  }: {
    follow?: boolean;
    signal?: AbortSignal;
  } = {}): AsyncGenerator<LogPiece> {
    if (signal?.aborted) return;
    using _held = this.#hold();
    const duplex = new StreamDuplex(this.#streams.open({service: CONTROL_SERVICE.logs}));
    const stop = () => duplex.destroy();
    signal?.addEventListener('abort', stop);
    try {
      duplex.end(encodeLine({follow}));
      const reader = new PieceReader();
      for await (const chunk of duplex as AsyncIterable<Buffer>) yield* reader.push(chunk);
    } catch (error) {
      if (signal?.aborted || this.#streams.session.ended) return;
      throw error instanceof MalformedMessage
        ? new TunlError('SANDBOX_SILENT', {
            reason: 'The owner of the sandbox gave output that cannot be read.',
          })
        : error;
    } finally {
      signal?.removeEventListener('abort', stop);
      duplex.destroy();
    }
  }

  /** Ends the connection. The sandbox goes on. Idempotent. */
  close(): void {
    this.#isClosed = true;
    this.#streams.session.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  async #call(request: ControlRequest): Promise<Record<string, unknown>> {
    return await this.#during(this.#named(this.#request(request)));
  }

  async #request(request: ControlRequest): Promise<Record<string, unknown>> {
    const duplex = new StreamDuplex(this.#streams.open({service: CONTROL_SERVICE.request}));
    try {
      duplex.end(encodeLine(request));
      const line = await readFirstLine(duplex, ANSWER_BYTES);
      if (line !== undefined) return readControlAnswer(line);
    } catch (error) {
      if (error instanceof TunlError) throw error;
    } finally {
      duplex.destroy();
    }
    throw this.#streams.session.ended
      ? new TunlError('SANDBOX_ENDED')
      : new TunlError('SANDBOX_SILENT', {reason: 'The owner of the sandbox gave no answer.'});
  }

  /** An error about the end says which sandbox has ended, and why. */
  async #named<T>(call: Promise<T>): Promise<T> {
    try {
      return await call;
    } catch (error) {
      if (!(error instanceof TunlError) || error.code !== 'SANDBOX_ENDED' || this.#isClosed) throw error;
      const end = await this.#ended;
      if (!this.#isOwnerSilent) throw endedError(this.id, end, error);
      throw new TunlError('SANDBOX_SILENT', {
        reason: `The owner of the sandbox ${this.id} runs, and has closed the connection.`,
        cause: error,
      });
    }
  }

  /** The connection is gone without an answer: the journal knows more, unless its writer was killed. */
  async #afterLoss(): Promise<SandboxEnd> {
    if (this.#isClosed) return await new Promise<never>(() => {});
    const until = systemClock.now() + JOURNAL_WITHIN_MS;
    for (;;) {
      const found = await this.#roster.find(this.id).catch(() => undefined);
      if (found?.journal.end !== undefined) return found.journal.end;
      if (found === undefined || found.life === 'ended') return KILLED;
      if (systemClock.now() > until) {
        this.#isOwnerSilent = true;
        return {reason: 'lost', detail: 'Its owner does not answer.'};
      }
      await sleep(TRY_EVERY_MS);
    }
  }

  async #during<T>(call: Promise<T>): Promise<T> {
    using _held = this.#hold();
    return await call;
  }

  #hold(): Disposable {
    if (this.#calls === 0) this.#socket.ref();
    this.#calls += 1;
    return {
      [Symbol.dispose]: () => {
        this.#calls -= 1;
        if (this.#calls === 0) this.#socket.unref();
      },
    };
  }
}

/** The files of a sandbox, and what a command needs beyond them. */
class HeldFiles implements SandboxFiles {
  readonly #files: StreamsClient['files'];
  readonly #during: <T>(call: Promise<T>) => Promise<T>;

  constructor(files: StreamsClient['files'], during: <T>(call: Promise<T>) => Promise<T>) {
    this.#files = files;
    this.#during = during;
  }

  async read(path: string): Promise<Readable> {
    const content = await this.#during(this.#files.read(path));
    void this.#during(new Promise<void>((resolve) => content.once('close', resolve)));
    return content;
  }

  write(path: string, content: Readable, options?: {mode?: number}): Promise<void> {
    return this.#during(this.#files.write(path, content, options));
  }

  list(path: string): Promise<readonly FileEntry[]> {
    return this.#during(this.#files.list(path));
  }
}

export function endedError(id: string, {reason, detail}: SandboxEnd, cause?: unknown): TunlError {
  const why = detail === undefined ? '' : `: ${detail.replace(/\.$/, '')}`;
  return new TunlError('SANDBOX_ENDED', {reason: `The sandbox ${id} has ended (${reason}${why}).`, cause});
}

function readEnd(answer: Record<string, unknown>): SandboxEnd {
  if (isEnd(answer)) return answer;
  throw new TunlError('SANDBOX_SILENT', {
    reason: 'The owner of the sandbox gave an answer that cannot be read.',
  });
}

/** Undefined: nobody listens. @throws TunlError STATE_DIR */
async function dial(folder: string): Promise<Socket | undefined> {
  if (!(await checkStateSocket(join(folder, SOCKET)))) return undefined;
  const place = placeOf(folder, SOCKET);
  if (place === undefined) return undefined;
  try {
    const socket = connect(place.path);
    return await new Promise<Socket | undefined>((resolve, reject) => {
      socket.once('connect', () => {
        socket.removeAllListeners();
        resolve(socket);
      });
      socket.once('error', (error) => {
        const code = systemCode(error);
        if (code === 'ECONNREFUSED' || code === 'ENOENT') resolve(undefined);
        else
          reject(
            new TunlError('SANDBOX_SILENT', {reason: `${join(folder, SOCKET)}: ${code}.`, cause: error}),
          );
      });
    });
  } finally {
    place.release();
  }
}
