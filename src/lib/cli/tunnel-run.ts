// The tunnels of a command from their start to their end, with limits, keys and the requests of the control socket.

import type {TunnelEvent} from '../agent/events.js';
import type {ForwardOptions} from '../agent/options.js';
import {TunlError} from '../core/errors.js';
import type {InBackground, UpOptions} from './detach.js';
import {time} from './format.js';
import {audienceOf, greet} from './greet.js';
import {hold} from './hold.js';
import {Limits} from './limits.js';
import type {Presenter} from './presenter.js';
import {openingOf, type TargetFlags} from './targets.js';
import {forwardOptions, lifeSettings, type TunnelFlags} from './tunnel-flags.js';
import {type Opening, TunnelGroup} from './tunnel-group.js';
import {type Ready, readiesOf} from './tunnel-state.js';

export interface RunOptions {
  flags: TunnelFlags & TargetFlags;
  openings: readonly Opening[];
  presenter: Presenter;
  background: InBackground | undefined;
  /** A program writes to the terminal and may read from it. */
  sharesTerminal: boolean;
  /** The text while the tunnels are not ready, such as `waiting for JupyterLab`. Default: about the relay. */
  waitsFor?: string | undefined;
}

/**
 * Resolves when all tunnels have ended. @throws TunlError the reason why one cannot be opened, or the error of the first that
 * failed
 */
export async function runTunnels(options: RunOptions): Promise<void> {
  const {flags, presenter, background} = options;
  const {expiresMs, idleTimeoutMs, drainTimeoutMs} = lifeSettings(flags);
  using limits = new Limits({expiresMs, idleMs: idleTimeoutMs});
  using ends = {
    keys: undefined as Disposable | undefined,
    [Symbol.dispose]: () => ends.keys?.[Symbol.dispose](),
  };
  let reached: Pick<InBackground, 'tunnelsAre' | 'see'> | undefined;
  const group = new TunnelGroup({
    drainTimeoutMs,
    onEvent: (event) => {
      if (event.type === 'exited') background?.endsBecause('exited');
      presenter.event(event.type === 'ready' ? withLife(event, limits, background) : event);
      limits.see(presenter.state.visitors);
      background?.see(presenter.state);
      reached?.see(presenter.state);
    },
    onChange: (tunnels) => {
      background?.tunnelsAre(tunnels);
      reached?.tunnelsAre(tunnels);
    },
  });
  await hold({
    drainTimeoutMs,
    onStop: () => background?.endsBecause('stopped'),
    onReaderGone: presenter.readerGone,
    onLeave: () => presenter.end(),
    open: async (signal) => {
      presenter.begin(options.waitsFor ?? 'connecting to the relay');
      const forwarded = forwardOf(options, drainTimeoutMs);
      await group.begin(options.openings, {...forwarded, signal});
      limits.begin((reason) => {
        background?.endsBecause(reason);
        const text = reason === 'expired' ? 'expired' : `no visitor for ${time(idleTimeoutMs ?? 0)}`;
        presenter.tell({tone: 'plain', text: `${text}: closing`});
        void group.close({drainTimeoutMs}).catch(() => {});
      });
      ends.keys = await attend(group, options);
      const facts = group.login.map(({label, value}) => `${label}: ${value}`);
      for (const text of facts) presenter.tell({tone: 'plain', text});
      const [first, ...more] = readiesOf(presenter.state);
      if (first === undefined) return group;
      const control = () => controlOf(group, {...options, limits, forwarded});
      if (background !== undefined) {
        await background.up([first, ...more], facts, control());
        return group;
      }
      const isRuled = flags['cidr-allow'] !== undefined || flags['cidr-deny'] !== undefined;
      if (isRuled || readiesOf(presenter.state).some(({link}) => link !== undefined)) {
        // Imported here because only links and rules change while a command runs in the foreground.
        const {inForeground} = await import('./in-foreground.js');
        reached = await inForeground([first, ...more], control(), presenter);
      }
      await greet([first, ...more], flags, audienceOf(presenter));
      return group;
    },
  });
}

/** The target would be looked for on this machine. */
const addsNoMember = () =>
  new TunlError('USAGE', {
    reason: 'The tunnels of this command lead to members of a network, and `tunl add` adds none.',
    next: 'Start another command: tunl expose --net NETWORK MEMBER:PORT',
  });

function forwardOf({flags, presenter}: RunOptions, drainTimeoutMs: number) {
  return {...forwardOptions(flags), ...reportsFor(presenter), drainTimeoutMs, log: presenter.log};
}

/** How much is reported about the upstream: only what the output shows. */
function reportsFor({
  isLive,
  isSilent,
}: Presenter): Pick<ForwardOptions, 'watchUpstream' | 'explainHostChecks'> {
  if (isSilent) return {watchUpstream: 'when refused'};
  return {watchUpstream: isLive ? 'always' : 'at first', explainHostChecks: true};
}

/** Adds the facts of the command: its end time, and the id in the background. */
function withLife(event: TunnelEvent & Ready, limits: Limits, background: InBackground | undefined): Ready {
  const {expiresAt} = limits;
  return {
    ...event,
    ...(expiresAt !== undefined && {expiresAt}),
    ...(background !== undefined && {id: background.id}),
  };
}

/** Keeps the block current, and handles keys if there is a keyboard. */
async function attend(
  group: TunnelGroup,
  {flags, presenter, sharesTerminal}: RunOptions,
): Promise<Disposable | undefined> {
  if (!presenter.isLive) return undefined;
  const rttMs = () => group.rttMs;
  if (flags['no-keys'] || sharesTerminal || !process.stdin.isTTY) {
    presenter.attend({rttMs, keys: () => []});
    return undefined;
  }
  const {Keys} = await import('./keys.js');
  const changed = () => presenter.attend({rttMs, keys: () => keys.names});
  const keys = new Keys(() => readiesOf(presenter.state), audienceOf(presenter), changed);
  changed();
  return keys;
}

/** The requests that the control socket answers. */
function controlOf(
  group: TunnelGroup,
  {
    flags,
    presenter,
    limits,
    forwarded,
  }: RunOptions & {limits: Limits; forwarded: ReturnType<typeof forwardOf>},
): UpOptions {
  const {drainTimeoutMs} = forwarded;
  return {
    drainTimeoutMs,
    tunnels: group.addresses,
    links: {
      share: (name, about) => {
        const link = group.share(name, about);
        presenter.tell({tone: 'plain', text: `a further link to ${name}: ${link.id}`});
        return link;
      },
      list: (name) => group.links(name),
      revoke: (id) => {
        const link = group.revoke(id);
        presenter.tell({tone: 'plain', text: `the link ${id} to ${link.tunnel} is revoked`});
        return link;
      },
    },
    access: (name, allow, deny) => {
      group.restrict(name, {cidrAllow: allow, cidrDeny: deny});
      const rules = [...allow.map((range) => `from ${range}`), ...deny.map((range) => `not from ${range}`)];
      presenter.tell({
        tone: 'plain',
        text: `visitors of ${name} may come ${rules.join(', ') || 'from everywhere'}`,
      });
    },
    extend: (ms) => {
      group.throwIfEnding();
      limits.extend(ms);
    },
    traffic: () => group.traffic,
    add: async (target, gone) => {
      if (flags.net !== undefined) throw addsNoMember();
      // --subdomain and --remote-port apply to the first tunnel.
      const {subdomain: _, remotePort: __, ...shared} = forwarded;
      const all = {...target, tcp: target.tcp || flags.tcp === true};
      return await group.add(openingOf(all, flags), {...shared, signal: gone});
    },
    remove: async (name, within = drainTimeoutMs) => {
      const removed = await group.remove(name, {drainTimeoutMs: within});
      // The log must name the tunnel, because events of the first tunnel may have no name.
      presenter.tell({tone: 'plain', text: `${name} is removed`});
      return removed;
    },
  };
}
