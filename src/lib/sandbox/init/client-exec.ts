// The using side of `exec`: one process inside, as its caller sees it.

import type {Readable, Writable} from 'node:stream';
import {StreamDuplex} from '../../bytes/stream-duplex.js';
import type {Clock, Timer} from '../../core/clock.js';
import {TunlError, toTunlError} from '../../core/errors.js';
import {MalformedMessage} from '../../protocol/fields.js';
import {encodeLine} from '../../protocol/lines.js';
import type {StreamCode} from '../../protocol/wire.js';
import type {ProcessEnd, SandboxProcess} from '../backend.js';
import type {StreamsClient} from './client.js';
import {ClientOutput} from './client-output.js';
import {ended} from './ended.js';
import {LineStream} from './line-stream.js';
import {
  type ExecOpening,
  execOpening,
  LINE,
  type OutputName,
  readExecAnswer,
  SERVICE,
  type ServiceOpen,
} from './wire.js';

/** An answer to the request must come within this time, ms. A start on a busy machine takes seconds. */
const ANSWER_MS = 60_000;
/** A process that should be over by its own time limit gets this much longer before its caller stops waiting, ms. */
const OVERTIME_MS = 10_000;

interface Context {
  client: StreamsClient;
  clock: Clock;
  /** No running process has this id. */
  isFree: (id: string) => boolean;
}

/** @throws TunlError SANDBOX_COMMAND, SANDBOX_ENDED, OPTION_INVALID */
export function startProcess(opening: ExecOpening, context: Context): Promise<SandboxProcess> {
  const line = encodeLine(execOpening(opening));
  if (line.length > LINE.request) {
    const reason = `The command and its environment have more than ${LINE.request / 1024} KiB.`;
    throw new TunlError('OPTION_INVALID', {reason});
  }
  return new ClientProcess(opening, context).started;
}

type Phase = 'starting' | 'running' | 'over';

class ClientProcess implements SandboxProcess {
  readonly started: Promise<SandboxProcess>;
  readonly exit: Promise<ProcessEnd>;
  readonly #context: Context;
  readonly #timeoutMs: number | undefined;
  readonly #lines: LineStream;
  readonly #begun = Promise.withResolvers<SandboxProcess>();
  readonly #end = Promise.withResolvers<ProcessEnd>();
  #phase: Phase = 'starting';
  /** For the answer, then for the process. */
  #timer: Timer;
  #id = '';
  #stdin: Writable | undefined;
  #outputs: Readonly<Record<OutputName, ClientOutput>> | undefined;

  constructor(opening: ExecOpening, context: Context) {
    this.#context = context;
    this.#timeoutMs = 'request' in opening ? opening.request.timeoutMs : undefined;
    this.started = this.#begun.promise;
    this.exit = this.#end.promise;
    this.exit.catch(() => {});
    this.#lines = new LineStream(context.client.open({service: SERVICE.exec}), LINE.answer, {
      onLine: (answer) => this.#onLine(answer),
      onMalformed: ({message}) => this.#violate(message),
      onEnd: () => {
        if (this.#phase !== 'over') this.#violate('no answer follows, and the process has not ended');
      },
      onOver: (code, message) => this.#onOver(code, message),
    });
    this.#lines.send(execOpening(opening));
    this.#timer = context.clock.after(ANSWER_MS, () => this.#fail(new TunlError('SANDBOX_SILENT')));
  }

  get id(): string {
    return this.#id;
  }

  get stdin(): Writable {
    return this.#stdin as Writable;
  }

  get stdout(): Readable {
    return this.#outputs?.stdout.duplex as Readable;
  }

  get stderr(): Readable {
    return this.#outputs?.stderr.duplex as Readable;
  }

  async signal(signal: NodeJS.Signals): Promise<void> {
    if (this.#phase === 'running') this.#lines.send({signal});
  }

  resize(columns: number, rows: number): void {
    if (this.#phase === 'running') this.#lines.send({resize: {columns, rows}});
  }

  #onLine(line: Buffer): void {
    const answer = readExecAnswer(line);
    if (this.#phase === 'over') throw new MalformedMessage('an answer after the last one');
    if ('error' in answer) this.#fail(answer.error);
    else if ('started' in answer) this.#onStarted(answer.started);
    else this.#onExit(answer.exit);
  }

  #onStarted(id: string): void {
    if (this.#phase !== 'starting' || !this.#context.isFree(id))
      throw new MalformedMessage('a process that started twice');
    const {client, clock} = this.#context;
    const open = (service: ServiceOpen['service']) => client.open({service, exec: id});
    const opened: ClientOutput[] = [];
    try {
      // Nobody may send anything on it, so it is never read: its window limits what somebody sends nevertheless.
      this.#stdin = new StreamDuplex(open(SERVICE.stdin), {toError: inputError});
      for (const name of [SERVICE.stdout, SERVICE.stderr]) opened.push(new ClientOutput(open(name), clock));
    } catch (error) {
      for (const {duplex} of opened) duplex.destroy();
      this.#fail(toTunlError(error));
      return;
    }
    const [stdout, stderr] = opened as [ClientOutput, ClientOutput];
    this.#outputs = {stdout, stderr};
    this.#phase = 'running';
    this.#id = id;
    this.#timer.cancel();
    if (this.#timeoutMs !== undefined) {
      const overtime = () => this.#settle({signal: 'SIGKILL', timedOut: true});
      this.#timer = clock.after(this.#timeoutMs + OVERTIME_MS, overtime);
    }
    this.#begun.resolve(this);
  }

  #onExit(end: ProcessEnd): void {
    const {stdout, stderr} = this.#outputs ?? {};
    if (stdout === undefined || stderr === undefined)
      throw new MalformedMessage('the end of a process that has not started');
    this.#phase = 'over';
    void Promise.all([stdout.settle(), stderr.settle()]).then(() => this.#settle(end));
  }

  #settle(end: ProcessEnd): void {
    this.#finish();
    this.#end.resolve(end);
  }

  #fail(error: TunlError): void {
    this.#finish();
    this.#begun.reject(error);
    this.#end.reject(error);
  }

  #finish(): void {
    this.#phase = 'over';
    this.#timer.cancel();
    this.#stdin?.destroy();
    // An honest server has ended its side. The others must not keep the stream.
    this.#lines.end();
    this.#lines.reset('CANCELLED');
  }

  #violate(message: string): void {
    this.#context.client.session.onViolation(`exec: ${message}`);
    this.#fail(ended());
  }

  #onOver(code: StreamCode | undefined, message: string | undefined): void {
    if (this.#phase === 'over') return;
    if (code === 'SESSION_ENDED') this.#fail(ended());
    else
      this.#fail(new TunlError('SANDBOX_COMMAND', {reason: `The sandbox refuses it: ${message ?? code}.`}));
  }
}

/** As with a pipe whose reader is gone. */
function inputError(code: StreamCode): Error {
  if (code === 'SESSION_ENDED') return ended();
  return Object.assign(new Error('write EPIPE: the process reads no more input'), {code: 'EPIPE'});
}
