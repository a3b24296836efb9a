// Asks a sandbox and its program what they did last. The question is no activity.

import type {SandboxControl} from '../sandbox/control.js';
import {askInside} from './ask-inside.js';
import type {KeptBy} from './session.js';
import type {Template} from './template.js';

export interface Seen {
  /** `all`: both have answered. `some`: one has not, so a session must not end because of this look. */
  readonly reached: 'all' | 'some' | 'none';
  /** The newest activity; undefined: there is none since the start. */
  readonly keptBy?: KeptBy | undefined;
}

/** @param now ms since 1970 */
export async function lookAt(
  sandbox: Pick<SandboxControl, 'info' | 'dial'>,
  {program, port}: Template,
  secret: string,
  now: number,
): Promise<Seen> {
  const [own, told] = await Promise.all([ownActivity(sandbox), programActivity()]);
  if (own === undefined && told.reached === 'none') return {reached: 'none'};
  const isNews = ({source}: KeptBy) => source !== 'traffic' || program.activity?.knowsAll !== true;
  const facts = [...(own ?? []), ...told.facts].filter(isNews);
  const [newest] = facts.sort((a, b) => Number(b.isNow) - Number(a.isNow) || b.at - a.at);
  return {reached: own === undefined || told.reached !== 'all' ? 'some' : 'all', keptBy: newest};

  /** Each answer counts, also when another one is too long or does not come. */
  async function programActivity(): Promise<{reached: Seen['reached']; facts: KeptBy[]}> {
    const {activity} = program;
    if (activity === undefined) return {reached: 'all', facts: []};
    const answers = await Promise.allSettled(
      activity.paths.map((path) => askInside(sandbox, port, {path, headers: activity.headers(secret)})),
    );
    const came = answers.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []));
    const facts = came.flatMap(({status, body}) => {
      const seen = activity.read(status, body);
      if (seen === undefined || seen.at === 0) return [];
      // A clock inside cannot be ahead of the host's: it would keep the session for ever.
      const at = seen.busy ? now : Math.min(seen.at, now);
      return [{source: 'program' as const, at, detail: seen.detail, isNow: seen.busy}];
    });
    return {reached: came.length === 0 ? 'none' : came.length < answers.length ? 'some' : 'all', facts};
  }
}

async function ownActivity(sandbox: Pick<SandboxControl, 'info'>): Promise<KeptBy[] | undefined> {
  try {
    const {activity} = await sandbox.info();
    return activity === undefined ? [] : [{...activity, isNow: false}];
  } catch {
    return undefined;
  }
}
