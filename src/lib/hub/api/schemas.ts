// The bodies of the API, once for the checks and for the OpenAPI document.

import * as v from 'valibot';

const name = v.pipe(
  v.string(),
  v.regex(/^[a-z0-9][a-z0-9-]{0,39}$/, '1 to 40 small letters, digits and hyphens'),
  v.description('Your own name for the session. A running session of this name is the answer.'),
);

export const NEW_SESSION = v.strictObject({
  template: v.optional(
    v.pipe(v.string(), v.maxLength(40), v.description('Default: the first template of the hub.')),
  ),
  name: v.optional(name),
});

export const EXTENSION = v.strictObject({
  for: v.pipe(
    v.string(),
    v.regex(/^(\d{1,6}(ms|s|m|h|d)){1,5}$/, 'a duration like 30m, 2h or 1h30m'),
    v.description('Added to the life of the session, like 30m or 2h.'),
  ),
});

const time = (what: string) => v.pipe(v.number(), v.description(`${what}, ms since 1970.`));

export const SESSION = v.object({
  id: v.string(),
  user: v.string(),
  own: v.optional(v.pipe(v.literal(true), v.description('It belongs to the user who asks.'))),
  template: v.string(),
  name: v.optional(v.string()),
  state: v.picklist(['queued', 'starting', 'ready', 'stopping', 'stopped', 'failed']),
  url: v.optional(v.pipe(v.string(), v.description('With the token that opens it: keep it to yourself.'))),
  login: v.optional(
    v.pipe(
      v.object({user: v.optional(v.string()), password: v.string()}),
      v.description('What a person types in at the address. Not for administrators.'),
    ),
  ),
  createdAt: time('When it was asked for'),
  readyAt: v.optional(time('When it first answered')),
  stopsAt: v.optional(time('The latest end')),
  idleStopsAt: v.optional(time('When it stops if nobody uses it')),
  queued: v.optional(v.pipe(v.number(), v.description('Its place in the queue, from 1.'))),
  keptBy: v.optional(
    v.pipe(
      v.object({
        source: v.picklist(['program', 'traffic', 'exec', 'stdin', 'extend', 'start']),
        at: time('When it happened last'),
        detail: v.optional(v.string()),
        isNow: v.pipe(v.boolean(), v.description('It goes on now.')),
      }),
      v.description('What keeps it alive.'),
    ),
  ),
  endedAt: v.optional(time('When it ended')),
  end: v.optional(
    v.object({
      reason: v.picklist([
        'exited',
        'timeout',
        'idle',
        'oom',
        'terminated',
        'lost',
        'not-ready',
        'not-started',
        'asked',
      ]),
      detail: v.string(),
      tail: v.pipe(v.array(v.string()), v.description('The last lines of its output, without secrets.')),
    }),
  ),
});

export const TEMPLATE = v.object({
  name: v.string(),
  title: v.string(),
  home: v.picklist(['persistent', 'ephemeral']),
  timeoutMs: v.pipe(v.number(), v.description('Life of a session, ms; 0: none.')),
  idleMs: v.pipe(v.number(), v.description('Stops after this long without activity, ms; 0: never.')),
});

export const ME = v.object({
  user: v.string(),
  quota: v.number(),
  isAdmin: v.boolean(),
});

/** RFC 9457, with the code of docs/errors.md. */
export const PROBLEM = v.object({
  type: v.string(),
  title: v.string(),
  status: v.number(),
  code: v.string(),
  detail: v.string(),
  next: v.optional(v.string()),
  tail: v.optional(v.array(v.string())),
  session: v.optional(v.string()),
});
