// A command with a tunnel: opened, told about, held until its end. With a program or without.

import type {TunnelEvent} from '../agent/events.js';
import type {ForwardOptions} from '../agent/options.js';
import type {Program} from '../launch/program.js';
import type {ServedProgram, ServeOptions} from '../programs.js';
import {BaseCommand} from './base-command.js';
import {given} from './flags.js';
import {time} from './format.js';
import {type Held, hold} from './hold.js';
import {Limits} from './limits.js';
import {forwardOptions, type TunnelFlags} from './tunnel-flags.js';

type LaunchWishes = {[K in keyof ServeOptions['launch']]: ServeOptions['launch'][K] | undefined};

/** Long enough for a page or a request, short enough for who waits at the terminal. */
const DRAIN_TIMEOUT_MS = 5000;

export abstract class TunnelCommand extends BaseCommand {
  /** Brings it up and returns when it has ended. */
  protected async holdTunnel(
    flags: TunnelFlags,
    open: (options: ForwardOptions) => Promise<Held>,
  ): Promise<void> {
    const drainTimeoutMs = flags['drain-timeout'] ?? DRAIN_TIMEOUT_MS;
    const expiresMs = flags.expires;
    using limits = new Limits({expiresMs, idleMs: flags['idle-timeout']});
    const onEvent = (event: TunnelEvent) => {
      limits.event(event);
      const expiresAt = expiresMs === undefined ? undefined : new Date(Date.now() + expiresMs).toISOString();
      this.presenter.event(event.type === 'ready' && expiresAt ? {...event, expiresAt} : event);
    };
    await hold({
      drainTimeoutMs,
      onReaderGone: this.presenter.readerGone,
      onLeave: () => this.presenter.end(),
      open: async (signal) => {
        this.presenter.begin('connecting to the relay');
        const held = await open({
          ...forwardOptions(flags),
          drainTimeoutMs,
          signal,
          onEvent,
          log: this.presenter.log,
        });
        limits.begin((reason) => {
          const why =
            reason === 'expired' ? 'the time is over' : `no visitor for ${time(flags['idle-timeout'] ?? 0)}`;
          this.presenter.tell({tone: 'plain', text: `${why}: closing`});
          void held.close({drainTimeoutMs}).catch(() => {});
        });
        return held;
      },
    });
  }

  /** The same with a program: its login facts are told, its exit code is the command's. */
  protected async holdProgram(
    program: Program,
    flags: TunnelFlags,
    options: {tcp?: boolean; launch?: LaunchWishes} = {},
  ): Promise<void> {
    let served: ServedProgram | undefined;
    const {presenter} = this;
    // Only here: most tunnels start no program and should not wait for this code.
    const {serve} = await import('../programs.js');
    await this.holdTunnel(flags, async (forward) => {
      served = await serve(program, {
        forward: {...forward, ...(options.tcp !== undefined && {unencrypted: options.tcp})},
        launch: {
          onNotice: (text) => presenter.tell({tone: 'warning', text}),
          // What a program of tunl's own choice prints is of interest when something is wrong.
          onOutput: (text) => presenter.log({level: 'info', scope: program.name, message: text.trimEnd()}),
          ...given(options.launch ?? {}),
        },
      });
      for (const {label, value} of served.login) presenter.tell({tone: 'plain', text: `${label}: ${value}`});
      return served;
    });
    process.exitCode = served?.exitCode ?? 0;
  }
}
