// Warns a user who mistyped the port of a tunnel in the background: the process there writes only to its log.

import type {SilenceSettings} from '../agent/upstream-watch.js';
import type {UpstreamTarget} from '../agent/upstreams/target.js';
import type {Presenter} from './presenter.js';

/** @param upstream undefined: a program serves it, and has answered */
export async function warnOfSilence(
  upstream: UpstreamTarget | undefined,
  presenter: Presenter,
  {tunnel, ...settings}: SilenceSettings & {tunnel?: string},
): Promise<void> {
  if (upstream === undefined || presenter.isSilent) return;
  const [{isSilentHere, nothingYet}, {targetLabel}] = await Promise.all([
    import('../agent/upstream-watch.js'),
    import('../agent/upstreams/target.js'),
  ]);
  if (!(await isSilentHere(upstream))) return;
  const message = nothingYet(targetLabel(upstream), settings);
  presenter.event({
    type: 'notice',
    code: 'UPSTREAM_REFUSED',
    message,
    ...(tunnel !== undefined && {tunnel}),
  });
}
