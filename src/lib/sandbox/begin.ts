// Begins a sandbox that this process owns.

import type {OpenBackend} from './choose.js';
import type {LogPiece} from './control.js';
import {serveSandbox} from './control-server.js';
import {SandboxHost} from './host.js';
import {readOptions, type SandboxOptions} from './options.js';
import {SandboxRoster} from './roster.js';

export interface BeginParts {
  /** Default: a new one. */
  readonly id?: string | undefined;
  /** All output of the command as it comes. The piece is not kept. */
  readonly onOutput?: ((piece: LogPiece) => void) | undefined;
  /** For tests. */
  readonly openBackend?: OpenBackend | undefined;
}

/** Resolves when it has its id, with the state `creating`: wait for `started`. @throws TunlError OPTION_INVALID, STATE_DIR, SANDBOX_NAME_USED */
export async function beginSandbox(
  command: readonly string[],
  options: SandboxOptions,
  {id, onOutput, openBackend}: BeginParts = {},
): Promise<SandboxHost> {
  const request = readOptions(command, options);
  const {signal, onEvent} = options;
  const {name} = request.settings;
  const own = await new SandboxRoster(request.stateDir).begin({id, name, command: request.command});
  const host = new SandboxHost(request, {own, signal, onEvent, onOutput, openBackend});
  // Other processes of this user may use it. Where no socket is possible, it serves this one alone.
  await serveSandbox(own.folder, host);
  return host;
}
