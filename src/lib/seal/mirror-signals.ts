// Signals for this process reach the command that it runs, and a command that stops itself stops this process: so the shell in
// which both were started treats them as one job.

import type {ChildProcess} from 'node:child_process';
import {commandOf, statOf, waitsForCommand} from './own-processes.js';

const PASSED_ON = ['SIGHUP', 'SIGINT', 'SIGQUIT', 'SIGTERM', 'SIGUSR1', 'SIGUSR2', 'SIGCONT'] as const;

/** The terminal sends these to the whole group in its foreground, so the command has them already. */
const BY_KEYS: readonly string[] = ['SIGINT', 'SIGQUIT'];

/** The command is seen as stopped when it is so twice, this long apart, ms: after `fg` it may still be on its way. */
const STOPPED_MS = 100;
/** How often to look at a command that is not a child of this process, ms. */
const LOOK_MS = 250;

export interface Mirror extends Disposable {
  /** The command, which is in the process group of this process. It gets the signals that have come before, too. */
  onto(child: ChildProcess): void;
}

/** Listens until disposed. It begins before the command does: a signal in between would end this process alone. */
export function mirrorSignals(): Mirror {
  let child: ChildProcess | undefined;
  const early: NodeJS.Signals[] = [];
  const listeners = new Map<NodeJS.Signals, () => void>();
  const on = (signal: NodeJS.Signals, listener: () => void) => {
    process.on(signal, listener);
    listeners.set(signal, listener);
  };
  let timer: NodeJS.Timeout | undefined;
  let seen = 0;
  const look = () => {
    const isStopped = statOf(child && commandOf(child)).state === 'T';
    seen = isStopped ? seen + 1 : 0;
    if (seen >= 2) {
      seen = 0;
      process.kill(process.pid, 'SIGSTOP');
    } else if (isStopped) {
      timer = setTimeout(look, STOPPED_MS);
      return;
    }
    // Only its parent hears that it has stopped.
    if (child !== undefined && waitsForCommand(child)) timer = setTimeout(look, LOOK_MS).unref();
  };
  for (const signal of PASSED_ON) {
    on(signal, () => {
      if (signal === 'SIGCONT') seen = 0;
      if (child === undefined) early.push(signal);
      else if (!BY_KEYS.includes(signal) || !isInForeground()) child.kill(signal);
    });
  }
  if (hasTerminal()) {
    on('SIGCHLD', () => {
      clearTimeout(timer);
      timer = setTimeout(look, STOPPED_MS);
    });
  }
  return {
    onto(command) {
      child = command;
      if (hasTerminal() && waitsForCommand(command)) timer = setTimeout(look, LOOK_MS).unref();
      for (const signal of early.splice(0)) command.kill(signal);
    },
    [Symbol.dispose]() {
      clearTimeout(timer);
      for (const [signal, listener] of listeners) process.off(signal, listener);
    },
  };
}

function isInForeground(): boolean {
  const {group, foreground} = statOf('self');
  return group === foreground;
}

const hasTerminal = (): boolean => Number(statOf('self').foreground) > 0;
