// The one reason why a sandbox has ended, in all the forms in which it is told.

import {TunlError} from '../core/errors.js';
import type {CommandEnd} from './backend.js';
import type {EndReason, SandboxEnd} from './control.js';

/** The end of a sandbox whose command has ended. `asked`: it was stopped before, and why. */
export function endOf(end: CommandEnd | undefined, asked: EndReason | undefined): SandboxEnd {
  const exit =
    end?.why === 'exited'
      ? {...(end.code !== undefined && {code: end.code}), ...(end.signal && {signal: end.signal})}
      : {};
  const reason = asked ?? end?.why ?? 'lost';
  const lost = reason === 'lost' && end?.why === 'lost' ? {detail: end.detail} : {};
  return described({reason, ...exit, ...lost});
}

/** The end of a sandbox that could not be started. */
export function failedStart({code, message}: TunlError): SandboxEnd {
  return {reason: 'failed', error: code, detail: message};
}

function described(end: SandboxEnd): SandboxEnd {
  return {...end, detail: end.detail ?? sentence(end)};
}

function sentence({reason, code, signal}: SandboxEnd): string {
  switch (reason) {
    case 'exited':
      return signal === undefined
        ? `Its command ended with exit code ${code ?? 0}.`
        : `Its command was ended by ${signal}.`;
    case 'timeout':
      return 'The time of its life was over.';
    case 'idle':
      return 'Nobody used it for its idle time.';
    case 'oom':
      return 'It needed more memory than its limit.';
    case 'terminated':
      return 'It was stopped on request.';
    case 'failed':
      return 'It could not be started.';
    case 'lost':
      return 'Its isolation program died.';
  }
}

/** The error of all calls that need a sandbox that has ended. */
export function endedError({reason, detail}: SandboxEnd): TunlError {
  return new TunlError('SANDBOX_ENDED', {
    reason: `The sandbox has ended (${reason}). ${detail ?? ''}`.trim(),
  });
}
