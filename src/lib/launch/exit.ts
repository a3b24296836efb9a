// The exit status of a process.
import {constants} from 'node:os';

/** Exactly one of the two is null. */
export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** The exit code as a shell reports it: 128 plus the number of the signal. */
export function exitCodeOf(exit: Exit): number {
  return exit.code ?? 128 + (exit.signal === null ? 0 : constants.signals[exit.signal]);
}

/** @param signal its number; 0 for none */
export function exitBy(code: number, signal: number): Exit {
  if (signal === 0) return {code, signal: null};
  const [name] = Object.entries(constants.signals).find(([, value]) => value === signal) ?? [];
  return name === undefined
    ? {code: 128 + signal, signal: null}
    : {code: null, signal: name as NodeJS.Signals};
}
