// The serving side of `exec`: starts the process of a request and joins it with its streams.

import type {Readable, Writable} from 'node:stream';
import {StreamDuplex} from '../../bytes/stream-duplex.js';
import type {Clock} from '../../core/clock.js';
import {TunlError} from '../../core/errors.js';
import type {Stream} from '../../mux/stream.js';
import type {ExecRequest, SandboxProcess} from '../backend.js';
import {LineStream} from './line-stream.js';
import {OutputPump} from './output-pump.js';
import {errorLine, execExit, LINE, type OutputName, readExecOrder, readExecRequest} from './wire.js';

export type StartProcess = (request: ExecRequest) => Promise<SandboxProcess>;

export interface ExecServerOptions {
  start: StartProcess;
  /** The client is gone before the process has ended. Default: the process is killed. */
  onAbandoned?: ((process: SandboxProcess) => void) | undefined;
  clock: Clock;
}

interface Running {
  readonly program: SandboxProcess;
  readonly outputs: Readonly<Record<OutputName, OutputPump>>;
  hasStdin: boolean;
}

/** The processes of one session. */
export class ExecServer {
  readonly #options: ExecServerOptions;
  readonly #running = new Map<string, Running>();

  constructor(options: ExecServerOptions) {
    this.#options = options;
  }

  /** Takes a stream of the kind `exec`. */
  open(stream: Stream): void {
    stream.accept();
    let running: Running | undefined;
    let asked = false;
    const drop = () => {
      if (running !== undefined) this.#abandon(running);
      running = undefined;
      gone = true;
    };
    let gone = false;
    const lines = new LineStream(stream, LINE.request, {
      onLine: (line) => {
        if (asked) {
          if (running !== undefined) order(running.program, line);
          return;
        }
        asked = true;
        void this.#start(readExecRequest(line), lines).then((started) => {
          running = started;
          if (gone) drop();
        });
      },
      onMalformed: ({message}) => {
        lines.send(errorLine(new TunlError('OPTION_INVALID', {reason: `The request is wrong: ${message}.`})));
        lines.end();
        drop();
      },
      onOver: drop,
    });
  }

  /** Takes a stream of the kind `stdout` or `stderr`. Returns false when there is no such output. */
  attachOutput(id: string, name: OutputName, stream: Stream): boolean {
    return this.#running.get(id)?.outputs[name].attach(stream) ?? false;
  }

  attachInput(id: string, stream: Stream): boolean {
    const running = this.#running.get(id);
    if (running === undefined || running.hasStdin) return false;
    running.hasStdin = true;
    stream.accept();
    copyInput(stream, running.program.stdin);
    return true;
  }

  /** The session is over. */
  end(): void {
    for (const running of this.#running.values()) this.#abandon(running);
  }

  /** Never rejects. */
  async #start(request: ExecRequest, lines: LineStream): Promise<Running | undefined> {
    const {start, clock} = this.#options;
    let running: Running;
    try {
      const program = await start(request);
      const pump = (source: Readable) => new OutputPump(source, clock);
      const outputs = {stdout: pump(program.stdout), stderr: pump(program.stderr)};
      running = {program, outputs, hasStdin: false};
    } catch (error) {
      lines.send(errorLine(error));
      lines.end();
      return undefined;
    }
    this.#running.set(running.program.id, running);
    lines.send({started: running.program.id});
    void this.#finish(running, lines);
    return running;
  }

  async #finish(running: Running, lines: LineStream): Promise<void> {
    const {program, outputs} = running;
    const {stdout, stderr} = outputs;
    try {
      const end = await program.exit;
      await Promise.all([stdout.settle(), stderr.settle()]);
      lines.send(execExit(end));
    } catch (error) {
      lines.send(errorLine(error));
    }
    this.#running.delete(program.id);
    lines.end();
  }

  #abandon(running: Running): void {
    if (!this.#running.delete(running.program.id)) return;
    const {program, outputs} = running;
    outputs.stdout.destroy();
    outputs.stderr.destroy();
    if (this.#options.onAbandoned !== undefined) this.#options.onAbandoned(program);
    else program.signal('SIGKILL').catch(() => {});
  }
}

function order(program: SandboxProcess, line: Buffer): void {
  const order = readExecOrder(line);
  if (order === undefined) return;
  if ('signal' in order) program.signal(order.signal).catch(() => {});
  else program.resize(order.resize.columns, order.resize.rows);
}

/** A process that reads no more resets the stream, so that the writer gets EPIPE. */
function copyInput(stream: Stream, stdin: Writable): void {
  const source = new StreamDuplex(stream);
  stdin.on('error', () => source.destroy());
  stdin.on('close', () => source.destroy());
  // A reset of the stream is the end of the input: there is no other way to tell a process that its input was cut.
  source.on('close', () => stdin.end());
  source.on('end', () => source.end());
  source.pipe(stdin);
  if (stdin.destroyed) source.destroy();
}
