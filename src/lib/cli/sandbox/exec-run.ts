// `tunl sandbox exec`: joins a command inside a sandbox with the terminal or the pipes of this process.

import type {Readable, Writable} from 'node:stream';
import {systemClock} from '../../core/clock.js';
import {TunlError} from '../../core/errors.js';
import type {ExecRequest, ProcessEnd, SandboxProcess} from '../../sandbox/backend.js';
import type {SandboxControl} from '../../sandbox/control.js';
import {passOnStderr} from '../stderr.js';
import {limitFlush, onResize, passOn, roomOnStdout, stdoutSize} from '../stdout.js';
import type {OutputEvent} from './events.js';
import {TextEvents} from './text-events.js';

export interface ExecRun {
  /** Passes stdin on. Without it the command has an empty input. */
  readonly interactive: boolean;
  readonly tty: boolean;
  /** With --json the output becomes events. */
  readonly onOutput?: ((from: OutputEvent['from'], text: string) => void) | undefined;
}

const DEFAULT_SIZE = {columns: 80, rows: 24};
/** A second signal so soon after the first is the same key press: the terminal and `npx` both send it. */
const ECHO_MS = 300;

/** @throws TunlError those of `exec`, SANDBOX_ENDED, ABORTED after a second signal */
export async function runExec(
  control: SandboxControl,
  request: Omit<ExecRequest, 'tty'>,
  run: ExecRun,
): Promise<ProcessEnd> {
  const {interactive, tty} = run;
  if (tty && interactive && !process.stdin.isTTY) {
    throw new TunlError('USAGE', {
      reason: '-t needs a terminal, and stdin is none.',
      next: 'Leave out -t: `tunl sandbox exec -i` reads a pipe.',
    });
  }
  const term = process.env.TERM ?? 'xterm';
  const inside = await control.exec({
    ...request,
    ...(tty && {tty: {...(stdoutSize() ?? DEFAULT_SIZE), term}}),
  });
  const leaving = Promise.withResolvers<never>();
  leaving.promise.catch(() => {});
  using _signals = passSignals(inside, () => leaving.reject(new TunlError('ABORTED')));
  using _terminal = tty ? useTerminal(inside, interactive) : undefined;
  if (interactive) sendStdin(inside.stdin);
  else inside.stdin.on('error', () => {}).end();
  const outputs = Promise.all([receive(inside.stdout, 'stdout', run), receive(inside.stderr, 'stderr', run)]);
  const ended = inside.exit.then(async (end) => {
    await outputs;
    return end;
  });
  ended.catch(() => {});
  outputs.catch(() => {});
  return await Promise.race([ended, leaving.promise]);
}

/** Never waits for the reader of the command's input: it may end before its input does. */
function sendStdin(into: Writable): void {
  const {stdin} = process;
  into.on('error', () => stdin.unpipe(into).pause());
  stdin.on('error', () => into.end());
  stdin.pipe(into);
}

async function receive(output: Readable, from: OutputEvent['from'], {onOutput}: ExecRun): Promise<void> {
  try {
    if (onOutput !== undefined) await asText(output, from, onOutput);
    else if (from === 'stdout') await passOn(output);
    else await passOnStderr(output);
  } catch {
    // The end of the command says why.
  } finally {
    // Nobody reads it any more: the command gets a broken pipe, as outside.
    output.destroy();
  }
}

async function asText(
  output: AsyncIterable<Uint8Array>,
  from: OutputEvent['from'],
  tell: NonNullable<ExecRun['onOutput']>,
): Promise<void> {
  const texts = new TextEvents(tell);
  for await (const chunk of output) {
    texts.write(from, chunk);
    await roomOnStdout();
  }
  texts.end(from);
}

/** The terminal passes every key on, and the command inside learns its size. */
function useTerminal(inside: SandboxProcess, interactive: boolean): Disposable {
  const {stdin} = process;
  const restore = () => void stdin.setRawMode(false);
  const isRaw = interactive && stdin.isTTY;
  if (isRaw) {
    stdin.setRawMode(true);
    // Also when the process ends in another way.
    process.once('exit', restore);
  }
  const resize = onResize(() => {
    const size = stdoutSize();
    if (size !== undefined) inside.resize(size.columns, size.rows);
  });
  return {
    [Symbol.dispose]() {
      resize[Symbol.dispose]();
      if (!isRaw) return;
      process.off('exit', restore);
      restore();
      stdin.pause();
    },
  };
}

/** The first signal goes to the command inside. After a second one nobody waits for it. */
function passSignals(inside: SandboxProcess, leave: () => void): Disposable {
  let firstAt: number | undefined;
  const onSignal = (signal: NodeJS.Signals) => {
    const now = systemClock.now();
    if (firstAt !== undefined && now - firstAt < ECHO_MS) return;
    if (firstAt !== undefined) {
      void inside.signal('SIGKILL').catch(() => {});
      limitFlush();
      leave();
      return;
    }
    firstAt = now;
    void inside.signal(signal).catch(() => {});
  };
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
  for (const signal of signals) process.on(signal, onSignal);
  return {
    [Symbol.dispose]() {
      for (const signal of signals) process.off(signal, onSignal);
    },
  };
}
