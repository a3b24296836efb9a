// The using side of `exec`: one process inside, as its caller sees it.

import type {Readable, Writable} from 'node:stream';
import {StreamDuplex} from '../../bytes/stream-duplex.js';
import type {Clock} from '../../core/clock.js';
import {TunlError} from '../../core/errors.js';
import {MalformedMessage} from '../../protocol/fields.js';
import type {StreamCode} from '../../protocol/wire.js';
import type {ExecRequest, ProcessEnd, SandboxProcess} from '../backend.js';
import type {StreamsClient} from './client.js';
import {ended} from './ended.js';
import {LineStream} from './line-stream.js';
import {encodeLine} from './lines.js';
import {LINE, type OutputName, readExecAnswer, SERVICE} from './wire.js';

/** After `exit` the ends of the outputs must come within this time, ms. An honest server sends them first. */
const OUTPUT_MS = 2_000;
/** A process that should be over by its own time limit gets this much longer before its caller stops waiting, ms. */
const OVERTIME_MS = 10_000;

interface Context {
  client: StreamsClient;
  clock: Clock;
  /** No running process has this id. */
  isFree: (id: string) => boolean;
}

/** @throws TunlError SANDBOX_COMMAND, SANDBOX_ENDED, OPTION_INVALID */
export function startProcess(request: ExecRequest, context: Context): Promise<SandboxProcess> {
  const line = encodeLine(request);
  if (line.length > LINE.request) {
    const reason = `The command and its environment have more than ${LINE.request / 1024} KiB.`;
    throw new TunlError('OPTION_INVALID', {reason});
  }
  return new ClientProcess(request, context).started;
}

type Phase = 'starting' | 'running' | 'over';

class ClientProcess implements SandboxProcess {
  readonly started: Promise<SandboxProcess>;
  readonly exit: Promise<ProcessEnd>;
  readonly #context: Context;
  readonly #request: ExecRequest;
  readonly #lines: LineStream;
  readonly #begun = Promise.withResolvers<SandboxProcess>();
  readonly #end = Promise.withResolvers<ProcessEnd>();
  #phase: Phase = 'starting';
  #id = '';
  #stdin: Writable | undefined;
  #outputs: Readonly<Record<OutputName, Output>> | undefined;

  constructor(request: ExecRequest, context: Context) {
    this.#context = context;
    this.#request = request;
    this.started = this.#begun.promise;
    this.exit = this.#end.promise;
    this.exit.catch(() => {});
    this.#lines = new LineStream(context.client.open({service: SERVICE.exec}), LINE.answer, {
      onLine: (answer) => this.#onLine(answer),
      onMalformed: ({message}) => this.#violate(message),
      onOver: (code, message) => this.#onOver(code, message),
    });
    this.#lines.send(request);
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
    if ('error' in answer) this.#fail(answer.error);
    else if ('started' in answer) this.#onStarted(answer.started);
    else this.#onExit(answer.exit);
  }

  #onStarted(id: string): void {
    if (this.#phase !== 'starting' || !this.#context.isFree(id))
      throw new MalformedMessage('a process that started twice');
    const {client, clock} = this.#context;
    this.#phase = 'running';
    this.#id = id;
    this.#stdin = new StreamDuplex(client.open({service: SERVICE.stdin, exec: id}), {
      toError: inputError,
    }).resume();
    this.#outputs = {
      stdout: new Output(client, id, SERVICE.stdout),
      stderr: new Output(client, id, SERVICE.stderr),
    };
    const {timeoutMs} = this.#request;
    if (timeoutMs !== undefined) {
      const overtime = () => this.#settle({signal: 'SIGKILL', timedOut: true});
      const timer = clock.after(timeoutMs + OVERTIME_MS, overtime);
      void this.exit.finally(() => timer.cancel()).catch(() => {});
    }
    this.#begun.resolve(this);
  }

  #onExit(end: ProcessEnd): void {
    if (this.#phase !== 'running') throw new MalformedMessage('an end of a process that does not run');
    this.#phase = 'over';
    const outputs = Object.values(this.#outputs ?? {});
    const timer = this.#context.clock.after(OUTPUT_MS, () => this.#settle(end));
    void Promise.all(outputs.map(({over}) => over)).then(() => {
      timer.cancel();
      this.#settle(end);
    });
  }

  #settle(end: ProcessEnd): void {
    this.#phase = 'over';
    this.#stdin?.destroy();
    this.#lines.end();
    this.#end.resolve(end);
  }

  #fail(error: TunlError): void {
    this.#phase = 'over';
    this.#stdin?.destroy();
    this.#lines.end();
    this.#begun.reject(error);
    this.#end.reject(error);
  }

  #violate(message: string): void {
    this.#context.client.session.onViolation(`exec: ${message}`);
    this.#fail(ended());
  }

  #onOver(code: StreamCode | undefined, message: string | undefined): void {
    if (this.#phase === 'over') return;
    if (code === 'SESSION_ENDED') this.#fail(ended());
    else if (code === undefined) this.#violate('it ended without the end of its process');
    else
      this.#fail(new TunlError('SANDBOX_COMMAND', {reason: `The sandbox refuses it: ${message ?? code}.`}));
  }
}

/** One output, and when all of it has arrived. */
class Output {
  readonly duplex: StreamDuplex;
  /** Never rejects. */
  readonly over: Promise<void>;

  constructor(client: StreamsClient, exec: string, service: OutputName) {
    const {promise, resolve} = Promise.withResolvers<void>();
    this.over = promise;
    this.duplex = new StreamDuplex(client.open({service, exec}), {toError: outputError, onArrived: resolve});
    this.duplex.on('close', resolve);
    this.duplex.end();
  }
}

/** As with a pipe whose reader is gone. */
function inputError(code: StreamCode): Error {
  if (code === 'SESSION_ENDED') return ended();
  return Object.assign(new Error('write EPIPE: the process reads no more input'), {code: 'EPIPE'});
}

function outputError(code: StreamCode): Error {
  if (code === 'SESSION_ENDED') return ended();
  return Object.assign(new Error('the output of the process was cut off'), {code: 'ECONNRESET'});
}
