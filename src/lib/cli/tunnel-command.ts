// The base of commands with a tunnel: opens it, shows its events, and holds it until its end. With or without a program, here or in the background.

import type {ReadyEvent, TunnelEvent} from '../agent/events.js';
import type {ForwardOptions, Tunnel} from '../agent/options.js';
import type {LoginFact, Program} from '../launch/program.js';
import type {ServedProgram, ServeOptions} from '../programs.js';
import {BackgroundCommand} from './background-command.js';
import {checkRelayFlags} from './combinations.js';
import type {UpOptions} from './detach.js';
import {given} from './flags.js';
import {time} from './format.js';
import {type Audience, greet} from './greet.js';
import {type Closable, hold} from './hold.js';
import {Limits} from './limits.js';
import type {Presenter} from './presenter.js';
import {forwardOptions, lifeSettings, type TunnelFlags} from './tunnel-flags.js';
import {readiesOf} from './tunnel-state.js';

type LaunchFlags = {[K in keyof ServeOptions['launch']]: ServeOptions['launch'][K] | undefined};

/** A tunnel, or one with a program. */
type OpenTunnel = Closable & Pick<Tunnel, 'rttMs' | 'traffic'> & {readonly login?: readonly LoginFact[]};

export abstract class TunnelCommand extends BackgroundCommand {
  /**
   * Opens the tunnel and returns when it has ended; with --detach as soon as it is up in the background.
   * `sharesTerminal`: a program writes to it and may read from it.
   */
  protected async holdTunnel(
    flags: TunnelFlags,
    open: (options: ForwardOptions) => Promise<OpenTunnel>,
    {sharesTerminal = false} = {},
  ): Promise<void> {
    checkRelayFlags(flags);
    const {expiresMs, idleTimeoutMs, drainTimeoutMs, detach} = lifeSettings(flags);
    const detached = await this.startDetached<ReadyEvent>(detach, 'ready');
    if (detached !== undefined) {
      const {up: ready, facts} = detached;
      this.presenter.event(ready);
      await this.#welcome(flags, ready, facts);
      if (flags.json) return undefined;
      return await this.#warnOfSilence(ready, (flags['wait-upstream'] ?? 0) > 0);
    }
    using limits = new Limits({expiresMs, idleMs: idleTimeoutMs});
    let attended: Disposable | undefined;
    using _ends = {[Symbol.dispose]: () => attended?.[Symbol.dispose]()};
    let ready: ReadyEvent | undefined;
    const onEvent = (event: TunnelEvent) => {
      if (event.type === 'ready') {
        const {expiresAt} = limits;
        ready = {
          ...event,
          ...(expiresAt !== undefined && {expiresAt}),
          ...(this.background && {id: this.background.id}),
        };
      }
      if (event.type === 'exited') this.background?.endsBecause('exited');
      this.presenter.event(event.type === 'ready' && ready ? ready : event);
      const {state} = this.presenter;
      limits.see(state.visitors);
      this.background?.see(state);
    };
    await hold({
      drainTimeoutMs,
      onStop: () => this.background?.endsBecause('stopped'),
      onReaderGone: this.presenter.readerGone,
      onLeave: () => this.presenter.end(),
      open: async (signal) => {
        this.presenter.begin('connecting to the relay');
        const {log} = this.presenter;
        const reports = reportsFor(this.presenter);
        const options = {...forwardOptions(flags), ...reports, drainTimeoutMs, signal, onEvent, log};
        const held = await open(options);
        limits.begin((reason) => {
          this.background?.endsBecause(reason);
          const idle = `no visitor for ${time(idleTimeoutMs ?? 0)}`;
          const text = `${reason === 'expired' ? 'expired' : idle}: closing`;
          this.presenter.tell({tone: 'plain', text});
          void held.close({drainTimeoutMs}).catch(() => {});
        });
        const facts = (held.login ?? []).map(({label, value}) => `${label}: ${value}`);
        if (!ready) return held;
        const wantsKeys = !flags['no-keys'] && !sharesTerminal;
        attended = await this.#attend(held, wantsKeys);
        await this.#welcome(flags, ready, facts, {
          extend: (ms) => limits.extend(ms),
          traffic: () => held.traffic,
        });
        return held;
      },
    });
  }

  /** The same with a program: shows its login data, and its exit code becomes the command's. */
  protected async holdProgram(
    program: Program,
    flags: TunnelFlags,
    options: {tcp?: boolean; launch?: LaunchFlags} = {},
  ): Promise<void> {
    let served: ServedProgram | undefined;
    const {presenter} = this;
    // The import is here because most tunnels start no program and should not load this code.
    const {serve} = await import('../programs.js');
    await this.holdTunnel(
      flags,
      async (forward) => {
        served = await serve(program, {
          forward: {...forward, ...(options.tcp !== undefined && {unencrypted: options.tcp})},
          launch: {
            onNotice: (text) => presenter.tell({tone: 'warning', text}),
            // The output of a program that tunl has chosen only matters when something is wrong.
            onOutput: (text) => presenter.log({level: 'info', scope: program.name, message: text.trimEnd()}),
            ...given(options.launch ?? {}),
          },
        });
        return served;
      },
      {sharesTerminal: options.launch?.onOutput !== undefined},
    );
    if (served !== undefined) process.exitCode = served.exitCode;
  }

  /** Keeps the block up to date and handles keys where there is a keyboard. */
  async #attend(held: OpenTunnel, wantsKeys: boolean): Promise<Disposable | undefined> {
    const {presenter} = this;
    if (!presenter.isLive) return undefined;
    const rttMs = () => held.rttMs;
    if (!wantsKeys || !process.stdin.isTTY) {
      presenter.attend({rttMs, keys: () => []});
      return undefined;
    }
    const {Keys} = await import('./keys.js');
    const changed = () => presenter.attend({rttMs, keys: () => keys.names});
    const keys = new Keys(() => readiesOf(presenter.state), this.#audience(), changed);
    changed();
    return keys;
  }

  #audience(): Audience {
    const {stderr, env} = process;
    const isScreen = stderr.isTTY && env.TERM !== 'dumb';
    return {
      tell: this.presenter.tell,
      ...(isScreen && {order: (text: string) => stderr.write(text), columns: () => stderr.columns}),
    };
  }

  /** The process in the background writes to its log only, so this one warns a person who mistyped the port. */
  async #warnOfSilence({upstream, program}: ReadyEvent, waits: boolean): Promise<void> {
    if (program !== undefined || this.presenter.isSilent) return;
    const {isSilentHere, nothingYet} = await import('../agent/upstream-watch.js');
    if (!(await isSilentHere(upstream))) return;
    this.presenter.event({type: 'notice', code: 'UPSTREAM_REFUSED', message: nothingYet(upstream, waits)});
  }

  async #welcome(
    flags: TunnelFlags,
    ready: ReadyEvent,
    facts: string[],
    hooks: Pick<UpOptions, 'extend' | 'traffic'> = {},
  ): Promise<void> {
    for (const text of facts) this.presenter.tell({tone: 'plain', text});
    const {drainTimeoutMs} = lifeSettings(flags);
    if (this.background) await this.background.up(ready, facts, {drainTimeoutMs, ...hooks});
    else await greet(readiesOf(this.presenter.state), flags, {...this.#audience(), leaves: flags.detach});
  }
}

/** What is told about the upstream: as much as is shown. */
function reportsFor({
  isLive,
  isSilent,
}: Presenter): Pick<ForwardOptions, 'watchUpstream' | 'explainHostChecks'> {
  if (isSilent) return {watchUpstream: 'when refused'};
  return {watchUpstream: isLive ? 'always' : 'at first', explainHostChecks: true};
}
