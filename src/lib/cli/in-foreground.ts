// A command in a terminal that other commands can reach: it has an entry and a control socket as one in the background has.

import {toTunlError} from '../core/errors.js';
import {stateDir} from '../core/state-dir.js';
import {Roster} from '../launch/roster.js';
import {randomSecret} from '../launch/secret.js';
import {answerControl, BackgroundState} from './background-control.js';
import type {InBackground, UpOptions} from './detach.js';
import type {Presenter} from './presenter.js';
import type {Ready} from './tunnel-state.js';

/** Undefined when the state folder cannot be used: the tunnels work nevertheless. */
export async function inForeground(
  [ready]: readonly [Ready, ...Ready[]],
  {drainTimeoutMs, traffic, tunnels = [], ...hooks}: UpOptions,
  presenter: Pick<Presenter, 'tell' | 'state'>,
): Promise<Pick<InBackground, 'tunnelsAre' | 'see'> | undefined> {
  const state = new BackgroundState();
  if (traffic !== undefined) state.watch(traffic);
  state.see(presenter.state);
  try {
    const roster = new Roster(stateDir());
    await roster.prepare();
    const id = randomSecret().slice(0, 6);
    const entry = await roster.enter({
      id,
      startedAt: new Date().toISOString(),
      command: process.argv.slice(2),
      address: ready.address,
      drainTimeoutMs,
      tunnels,
      foreground: true,
      ...(ready.expiresAt !== undefined && {expiresAt: ready.expiresAt}),
    });
    const control = await roster.serve(id, (request, gone) =>
      answerControl(request, gone, state, {
        ...hooks,
        onExtended: (expiresAt) => entry.change({expiresAt}),
        stop: () => void process.kill(process.pid, 'SIGTERM'),
      }),
    );
    process.once('exit', () => {
      entry.remove();
      control?.closeSync();
    });
    return {
      tunnelsAre: (all) => {
        const [first] = all;
        if (first !== undefined) entry.change({tunnels: all, address: first.address});
      },
      see: (now) => state.see(now),
    };
  } catch (error) {
    const {message} = toTunlError(error);
    presenter.tell({tone: 'warning', text: `tunl share cannot reach this tunnel: ${message}`});
    return undefined;
  }
}
