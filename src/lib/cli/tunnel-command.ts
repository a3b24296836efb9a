// The base of commands with a tunnel, or several. With or without a program, here or in the background.

import type {ForwardOptions} from '../agent/options.js';
import {TunlError} from '../core/errors.js';
import type {Program} from '../launch/program.js';
import type {Room} from '../launch/room.js';
import type {ServedProgram, ServeOptions} from '../programs.js';
import {BackgroundCommand} from './background-command.js';
import {checkRelayFlags} from './combinations.js';
import {withContext} from './contexts.js';
import {given} from './flags.js';
import {audienceOf, greet} from './greet.js';
import {leaveProcessOne} from './process-one.js';
import type {TunnelFlags} from './tunnel-flags.js';
import type {Opening} from './tunnel-group.js';
import {runTunnels} from './tunnel-run.js';
import {type Ready, readiesOf} from './tunnel-state.js';
import {warnOfSilence} from './warn-of-silence.js';

/** The level of the output of a program that tunl has chosen. */
const OUTPUT_LEVEL = 'info';

type LaunchFlags = {[K in keyof ServeOptions['launch']]: ServeOptions['launch'][K] | undefined};

interface ProgramOptions {
  tcp?: boolean;
  launch?: LaunchFlags;
  /** Opens the network that the program runs in. Default: that of this machine. */
  openRoom?: ((options: ForwardOptions) => Promise<Room>) | undefined;
}

export abstract class TunnelCommand extends BackgroundCommand {
  /**
   * Opens the tunnels and returns when they have ended; with --detach as soon as they are up in the background.
   * `sharesTerminal`: a program writes to it and may read from it.
   */
  protected async holdTunnels(
    given: TunnelFlags,
    openings: readonly Opening[],
    {sharesTerminal = false, waitsFor}: {sharesTerminal?: boolean; waitsFor?: string} = {},
  ): Promise<void> {
    const {presenter} = this;
    const flags = await withContext(given, (text) => presenter.tell({tone: 'faint', text}));
    checkRelayFlags(flags);
    await askPassword(flags);
    const detached = await this.startDetached<Ready>(flags.detach, 'ready');
    if (detached === undefined)
      return await runTunnels({
        flags,
        openings,
        presenter,
        background: this.background,
        sharesTerminal,
        waitsFor,
      });
    for (const ready of detached.ups) presenter.event(ready);
    for (const text of detached.facts) presenter.tell({tone: 'plain', text});
    await greet(readiesOf(presenter.state), flags, {...audienceOf(presenter), leaves: true});
    // A script that reads one event for each target gets no other.
    if (flags.json) return;
    const silence = {wait: (flags['wait-upstream'] ?? 0) > 0, getPage: flags['offline-page'] ?? false};
    for (const {name, upstream} of openings)
      await warnOfSilence(upstream, presenter, {...silence, ...(openings.length > 1 && {tunnel: name})});
  }

  /** The same with a program: shows its login data, and its exit code becomes that of the command. */
  protected async holdProgram(
    program: Program,
    flags: TunnelFlags,
    options: ProgramOptions = {},
  ): Promise<void> {
    let served: ServedProgram | undefined;
    const {presenter} = this;
    const sharesTerminal = options.launch?.onOutput !== undefined;
    if (!leaveProcessOne()) {
      presenter.log({
        level: 'warn',
        scope: 'launch',
        message:
          'tunl is process 1 here, so ended processes that the program leaves behind stay as zombies: start the container with --init, or tini before tunl',
      });
    }
    // The import is here because most tunnels start no program and should not load this code.
    const {serve} = await import('../programs.js');
    const opening: Opening = {
      name: program.name,
      kept: true,
      open: async (forward) => {
        const room = await options.openRoom?.(forward);
        served = await serve(program, {
          forward: {...forward, ...(options.tcp !== undefined && {unencrypted: options.tcp})},
          launch: {
            // From its start on the program may also write to the terminal directly, such as a prompt for a password.
            ...(sharesTerminal && {onStart: presenter.share}),
            onNotice: (text) => presenter.tell({tone: 'warning', text}),
            // The output of a program that tunl has chosen matters only when something is wrong.
            onOutput: (bytes) =>
              presenter.log({level: OUTPUT_LEVEL, scope: program.name, message: bytes.toString().trimEnd()}),
            ...given(options.launch ?? {}),
            ...(room !== undefined && {room}),
          },
        });
        return served;
      },
    };
    // Its output is on the screen already, so the error does not repeat it.
    const isShown = sharesTerminal ? !presenter.isSilent : presenter.logs(OUTPUT_LEVEL);
    const wasShown = isShown && !(flags.json || flags.detach);
    await this.holdTunnels(flags, [opening], {
      sharesTerminal,
      waitsFor: `waiting for ${program.title}`,
    }).catch((error: unknown) => {
      throw wasShown ? withoutOutput(error) : error;
    });
    if (served !== undefined) process.exitCode = served.exitCode;
  }
}

/** The password of --basic-auth, if it is given neither as a file nor as a variable. One in the background gets the variable. */
async function askPassword(flags: TunnelFlags): Promise<void> {
  const user = flags['basic-auth'];
  const isGiven = flags['basic-auth-file'] !== undefined || process.env.TUNL_BASIC_AUTH_PASSWORD;
  if (user === undefined || isGiven || !process.stdin.isTTY) return;
  const {askSecret} = await import('./ask-secret.js');
  process.env.TUNL_BASIC_AUTH_PASSWORD = await askSecret(`Password for ${user}, at least 8 characters: `);
}

function withoutOutput(error: unknown): unknown {
  if (!(error instanceof TunlError) || !error.code.startsWith('PROGRAM_')) return error;
  const {code, message, next, cause} = error;
  return new TunlError(code, {reason: message.replace(/ Its last lines:\n[\s\S]*$/, ''), next, cause});
}
