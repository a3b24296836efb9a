// How a process ended.
import {constants} from 'node:os';

/** One of both is null. */
export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** As a shell reports it: a signal is 128 and its number. */
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
