// The serving side of `exec`: starts the process of a request and joins it with its streams.

import type {Readable, Writable} from 'node:stream';
import {StreamDuplex} from '../../bytes/stream-duplex.js';
import type {Clock} from '../../core/clock.js';
import {TunlError} from '../../core/errors.js';
import type {Stream} from '../../mux/stream.js';
import type {ExecRequest, SandboxProcess} from '../backend.js';
import {LineStream} from './line-stream.js';
import {OutputPump} from './output-pump.js';
import {
  type ExecOpening,
  errorLine,
  execExit,
  LINE,
  type OutputName,
  readExecOpening,
  readExecOrder,
} from './wire.js';

export type StartProcess = (request: ExecRequest) => Promise<SandboxProcess>;

export interface ExecServerOptions {
  start: StartProcess;
  /** A process that runs and that another session may have started. */
  find?: ((id: string) => SandboxProcess | undefined) | undefined;
  clock: Clock;
}

interface Running {
  readonly program: SandboxProcess;
  readonly outputs: Readonly<Record<OutputName, OutputPump>>;
  /** It goes on without its client, who may come again. */
  readonly keep: boolean;
  input: StreamDuplex | undefined;
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
        void this.#start(readExecOpening(line), lines).then((started) => {
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
    if (running === undefined || running.input !== undefined) return false;
    stream.accept();
    running.input = new StreamDuplex(stream);
    copyInput(running.input, running.program.stdin);
    return true;
  }

  /** The session is over. */
  end(): void {
    for (const running of this.#running.values()) this.#abandon(running);
  }

  /** Never rejects. */
  async #start(opening: ExecOpening, lines: LineStream): Promise<Running | undefined> {
    let running: Running;
    try {
      const program =
        'attach' in opening ? this.#find(opening.attach) : await this.#options.start(opening.request);
      const pump = (source: Readable) => new OutputPump(source, this.#options.clock);
      const outputs = {stdout: pump(program.stdout), stderr: pump(program.stderr)};
      running = {program, outputs, keep: 'attach' in opening || opening.keep, input: undefined};
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
      if (this.#running.get(program.id) !== running) return;
      await Promise.all([stdout.settle(), stderr.settle()]);
      lines.send(execExit(end));
    } catch (error) {
      lines.send(errorLine(error));
    }
    this.#running.delete(program.id);
    lines.end();
  }

  #find(id: string): SandboxProcess {
    const found = this.#running.has(id) ? undefined : this.#options.find?.(id);
    if (found !== undefined) return found;
    throw new TunlError('SANDBOX_COMMAND', {reason: `The sandbox runs no process ${id} that can be joined.`});
  }

  #abandon({program, outputs, input, keep}: Running): void {
    if (!this.#running.delete(program.id)) return;
    const {stdout, stderr} = outputs;
    if (keep) {
      input?.unpipe(program.stdin);
      stdout.detach();
      stderr.detach();
      return;
    }
    stdout.destroy();
    stderr.destroy();
    program.signal('SIGKILL').catch(() => {});
  }
}

function order(program: SandboxProcess, line: Buffer): void {
  const order = readExecOrder(line);
  if (order === undefined) return;
  if ('signal' in order) program.signal(order.signal).catch(() => {});
  else program.resize(order.resize.columns, order.resize.rows);
}

/** A process that reads no more resets the stream, so that the writer gets EPIPE. */
function copyInput(source: StreamDuplex, stdin: Writable): void {
  const stop = () => source.destroy();
  stdin.on('error', stop);
  stdin.on('close', stop);
  let isJoined = true;
  stdin.once('unpipe', () => {
    isJoined = false;
  });
  source.on('end', () => {
    isJoined = false;
    source.end();
  });
  source.on('close', () => {
    stdin.off('error', stop);
    stdin.off('close', stop);
    // A reset of the stream is the end of the input: there is no other way to tell a process that its input was cut.
    if (isJoined) stdin.end();
  });
  source.pipe(stdin);
  if (stdin.destroyed) stop();
}
