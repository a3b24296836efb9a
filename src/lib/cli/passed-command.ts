// Turns the words after `--` in `tunl expose [PORT] -- COMMAND…` into a program.

import {isLoopbackHost, parseTarget} from '../agent/target.js';
import {TunlError} from '../core/errors.js';
import type {Program} from '../launch/program.js';
import {command} from '../launch/programs/command.js';

export interface PassedCommand {
  words: readonly string[];
  target: string | undefined;
  localHost: string | undefined;
  readyPath: string | undefined;
}

/** @throws TunlError USAGE and those of a target */
export function passedCommand(passed: PassedCommand): {program: Program; port?: number} {
  const [bin, ...args] = passed.words;
  if (bin === undefined || bin === '') {
    throw new TunlError('USAGE', {
      reason: 'There is no command after `--`.',
      next: 'Write it like `tunl expose -- npm run dev`, or leave `--` out.',
    });
  }
  const target = passed.target === undefined ? undefined : parseTarget(passed.target, passed.localHost);
  if (target !== undefined && !isLoopbackHost(target.host)) {
    throw new TunlError('USAGE', {
      reason: 'A command that is started here listens on this machine.',
      next: 'Give only the port before `--`.',
    });
  }
  if (passed.readyPath !== undefined && !/^\/[\x21-\x7e]*$/.test(passed.readyPath)) {
    throw new TunlError('OPTION_INVALID', {
      reason: '--ready-path is not a path.',
      next: 'Write it like /healthz.',
    });
  }
  const program = command({
    argv: [bin, ...args],
    portGiven: target !== undefined,
    inheritStdin: process.stdin.isTTY === true,
    ...(passed.readyPath !== undefined && {readyPath: passed.readyPath}),
  });
  return {program, ...(target !== undefined && {port: target.port})};
}
