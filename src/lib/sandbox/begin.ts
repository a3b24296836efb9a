// Begins a sandbox that this process owns.

import {openBackend as usualBackend} from './backends.js';
import type {OpenBackend} from './choose.js';
import type {LogPiece} from './control.js';
import {serveSandbox} from './control-server.js';
import {SandboxHost} from './host.js';
import {keepOutput} from './kept-output.js';
import {readOptions, type SandboxOptions} from './options.js';
import {type OwnSandbox, SandboxRoster} from './roster.js';
import {sweepSandboxes} from './sweep.js';

export interface BeginParts {
  /** Default: a new one. */
  readonly id?: string | undefined;
  /** All output of the command as it comes. The piece is not kept. */
  readonly onOutput?: ((piece: LogPiece) => void) | undefined;
  /** For tests. */
  readonly openBackend?: OpenBackend | undefined;
}

export interface ServedHost {
  /** Its state is `creating`: wait for `started`. */
  readonly host: SandboxHost;
  /** Other processes of this user can use it. False: its path allows no socket. */
  readonly isReachable: boolean;
  /** It has ended, and everybody who waited for it knows. Never rejects. */
  readonly closed: Promise<void>;
}

/** @throws TunlError OPTION_INVALID, EGRESS_INVALID, STATE_DIR, SANDBOX_NAME_USED */
export async function beginServed(
  command: readonly string[],
  options: SandboxOptions,
  {id, onOutput, openBackend = usualBackend}: BeginParts = {},
): Promise<ServedHost> {
  const request = readOptions(command, options);
  const {signal, onEvent} = options;
  const {name} = request.settings;
  const roster = new SandboxRoster(request.stateDir);
  const own = await roster.begin({id, name, command: request.command});
  void sweepSandboxes(roster, openBackend);
  const host: SandboxHost = new SandboxHost(request, {
    own: withOutput(own, () => host.logs()),
    signal,
    onEvent,
    onOutput,
    openBackend,
  });
  // Other processes of this user may use it. Where no socket is possible, it serves this one alone.
  const server = await serveSandbox(own.folder, host);
  const closed = host.ended.then(() => server?.closed);
  return {host, isReachable: server !== undefined, closed};
}

/** The same for a caller that stays alive. */
export async function beginSandbox(
  command: readonly string[],
  options: SandboxOptions,
  parts?: BeginParts,
): Promise<SandboxHost> {
  return (await beginServed(command, options, parts)).host;
}

/** The output is kept before anybody can read of the end. */
function withOutput(own: OwnSandbox, logs: () => AsyncIterable<LogPiece>): OwnSandbox {
  return {
    ...own,
    end: async (end, options) => {
      await keepOutput(own.folder, logs());
      await own.end(end, options);
    },
  };
}
