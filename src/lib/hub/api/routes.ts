// All routes of the API in one table: the server, the checks of bodies, and the OpenAPI document follow from it.

import {array, type GenericSchema} from 'valibot';
import {duration} from '../../core/duration.js';
import {TunlError} from '../../core/errors.js';
import {type SessionView, withoutLogin} from '../session.js';
import type {Sessions} from '../sessions.js';
import type {Template} from '../template.js';
import type {Caller} from './callers.js';
import {EXTENSION, ME, NEW_SESSION, SESSION, TEMPLATE} from './schemas.js';

export interface ApiContext {
  readonly sessions: Sessions;
  readonly templates: ReadonlyMap<string, Template>;
  readonly readyTimeoutMs: number;
}

export interface ApiRequest {
  readonly caller: Caller;
  /** The `{id}` of the path: a session that the caller may see. */
  readonly id: string;
  readonly body: unknown;
  readonly query: URLSearchParams;
  readonly header: (name: string) => string | undefined;
  /** Aborts when the client has gone. */
  readonly signal: AbortSignal;
}

export type ApiAnswer =
  | {readonly status: number; readonly json: unknown; readonly headers?: Readonly<Record<string, string>>}
  | {readonly status: 303; readonly location: string}
  | {readonly stream: 'events' | 'logs'; readonly of: string | undefined};

export interface Route {
  readonly method: 'GET' | 'POST' | 'DELETE';
  /** With `{id}` for the id of a session. */
  readonly path: string;
  readonly summary: string;
  readonly body?: GenericSchema;
  readonly query?: readonly (readonly [name: string, meaning: string])[];
  readonly answers: readonly (readonly [status: number, meaning: string, schema?: GenericSchema])[];
  run(context: ApiContext, request: ApiRequest): Promise<ApiAnswer>;
}

const ALL = ['all', 'With `true`, of all users: for administrators.'] as const;

export const ROUTES: readonly Route[] = [
  {
    method: 'POST',
    path: '/',
    summary: 'Starts a session and leads to it, as a browser or `curl -L` follows.',
    body: NEW_SESSION,
    answers: [[303, 'The address of the session.']],
    run: createSession,
  },
  {
    method: 'POST',
    path: '/v1/sessions',
    summary: 'Starts a session, or finds the one of this name.',
    body: NEW_SESSION,
    answers: [
      [201, 'It is ready: `Accept: application/json`.', SESSION],
      [202, 'It is accepted: `Prefer: respond-async`.', SESSION],
      [303, 'Its address: any other `Accept`.'],
    ],
    run: createSession,
  },
  {
    method: 'GET',
    path: '/v1/sessions',
    summary: 'Your sessions, and those that ended within a day.',
    query: [ALL],
    answers: [[200, 'Running ones first.', array(SESSION)]],
    run: async ({sessions}, {caller, query}) => ({
      status: 200,
      json: sessions.list(scopeOf(caller, query)).map((view) => shown(view, sessions, caller)),
    }),
  },
  {
    method: 'GET',
    path: '/v1/sessions/{id}',
    summary: 'One session.',
    answers: [[200, 'The session.', SESSION]],
    run: async ({sessions}, {id, caller}) => {
      const view = sessions.view(id);
      return {status: 200, json: view && shown(view, sessions, caller)};
    },
  },
  {
    method: 'DELETE',
    path: '/v1/sessions/{id}',
    summary: 'Stops a session. Resolves when it has ended.',
    answers: [[200, 'The session with its end.', SESSION]],
    run: async ({sessions}, {id, caller}) => ({
      status: 200,
      json: shown(
        await sessions.stop(
          id,
          sessions.ownerOf(id) === caller.user.id ? 'Its user stopped it.' : 'An administrator stopped it.',
        ),
        sessions,
        caller,
      ),
    }),
  },
  {
    method: 'POST',
    path: '/v1/sessions/{id}/extend',
    summary: 'Lengthens the life of a session.',
    body: EXTENSION,
    answers: [[200, 'The session with its new end.', SESSION]],
    run: async ({sessions}, {id, body, caller}) => {
      const ms = duration((body as {for: string}).for);
      if (ms === 0) throw new TunlError('OPTION_INVALID', {reason: 'The time is 0.'});
      return {status: 200, json: shown(await sessions.extend(id, ms), sessions, caller)};
    },
  },
  {
    method: 'POST',
    path: '/v1/sessions/{id}/restart',
    summary: 'Ends the program of a session and starts it again, with the same address and files.',
    answers: [
      [200, 'It is ready again.', SESSION],
      [202, 'It is accepted: `Prefer: respond-async`.', SESSION],
    ],
    run: async (context, request) => {
      const {sessions} = context;
      const {id, caller} = request;
      const begun = sessions.restart(id);
      if (isAsync(request)) return {status: 202, json: shown(begun, sessions, caller)};
      const ready = await readySession(context, begun, patienceOf(context, request));
      return {status: 200, json: shown(ready, sessions, caller)};
    },
  },
  {
    method: 'GET',
    path: '/v1/sessions/{id}/logs',
    summary: 'The output of a session, as text.',
    query: [['follow', 'With `true`, also what comes later.']],
    answers: [[200, 'The kept output; secrets are replaced.']],
    run: async (_, {id}) => ({stream: 'logs', of: id}),
  },
  {
    method: 'GET',
    path: '/v1/sessions/{id}/events',
    summary: 'Changes of one session, as server-sent events.',
    answers: [[200, 'Events `state`, `warning` and `gone`.']],
    run: async (_, {id}) => ({stream: 'events', of: id}),
  },
  {
    method: 'GET',
    path: '/v1/events',
    summary: 'Changes of your sessions, as server-sent events.',
    query: [ALL],
    answers: [[200, 'Events `state`, `warning` and `gone`.']],
    run: async () => ({stream: 'events', of: undefined}),
  },
  {
    method: 'GET',
    path: '/v1/templates',
    summary: 'What a session can run.',
    answers: [[200, 'All templates.', array(TEMPLATE)]],
    run: async ({templates}) => ({
      status: 200,
      json: [...templates.values()].map(({name, title, home, timeoutMs, idleMs}) => ({
        name,
        title,
        home,
        timeoutMs,
        idleMs,
      })),
    }),
  },
  {
    method: 'GET',
    path: '/v1/me',
    summary: 'Who you are.',
    answers: [[200, 'Your name and what you may do.', ME]],
    run: async (_, {caller}) => ({
      status: 200,
      json: {user: caller.user.name, quota: caller.user.quota, isAdmin: caller.isAdmin},
    }),
  },
];

/** Only its user gets the means to open a session. A name may belong to another user later, so the ids decide. */
export function shown(
  view: SessionView,
  sessions: Pick<Sessions, 'ownerOf'>,
  {user}: Caller,
): SessionView & {readonly own?: true} {
  return sessions.ownerOf(view.id) === user.id ? {...view, own: true} : withoutLogin(view);
}

/** @throws TunlError NOT_ALLOWED. Undefined: of all users. */
export function scopeOf({user, isAdmin}: Caller, query: URLSearchParams): string | undefined {
  if (query.get('all') !== 'true') return user.id;
  if (!isAdmin)
    throw new TunlError('NOT_ALLOWED', {reason: 'Only administrators see the sessions of others.'});
  return undefined;
}

const isAsync = ({header}: ApiRequest): boolean => /\brespond-async\b/i.test(header('prefer') ?? '');

const patienceOf = ({readyTimeoutMs}: ApiContext, {signal}: ApiRequest): AbortSignal =>
  AbortSignal.any([signal, AbortSignal.timeout(readyTimeoutMs)]);

/** Waits for it. The start goes on when its client has left: the same request joins it. @throws NotReady */
async function readySession(
  {sessions}: ApiContext,
  view: SessionView,
  signal: AbortSignal,
): Promise<SessionView & {readonly url: string}> {
  const settled = (await sessions.settled(view.id, signal)) ?? view;
  const {url} = settled;
  if (settled.state === 'ready' && url !== undefined) return {...settled, url};
  throw new NotReady(settled, settled.end?.tail ?? (await sessions.tailOf(settled.id)));
}

async function createSession(context: ApiContext, request: ApiRequest): Promise<ApiAnswer> {
  const {sessions, templates} = context;
  const {caller, body, header} = request;
  const {template, name} = (body ?? {}) as {template?: string; name?: string};
  const [first = ''] = templates.keys();
  const requestKey = header('idempotency-key');
  if (requestKey !== undefined && !/^[\x21-\x7e]{1,100}$/.test(requestKey))
    throw new TunlError('OPTION_INVALID', {
      reason: 'An Idempotency-Key has 1 to 100 characters without spaces.',
    });
  const either = patienceOf(context, request);
  const wish = {template: template ?? first, name, requestKey};
  const created = await sessions.create(caller.user, wish, either).catch((error: unknown) => {
    if (!either.aborted) throw error;
    throw new TunlError('HUB_NOT_READY', {reason: 'The earlier session of this name is still stopping.'});
  });
  const location = {Location: `/v1/sessions/${created.id}`};
  if (isAsync(request)) return {status: 202, json: shown(created, sessions, caller), headers: location};
  const ready = await readySession(context, created, either);
  if (/\bapplication\/(\w+\+)?json\b/i.test(header('accept') ?? ''))
    return {status: 201, json: shown(ready, sessions, caller), headers: location};
  return {status: 303, location: ready.url};
}

/** Carries a session that is not ready, for its answer. */
export class NotReady extends Error {
  readonly session: SessionView;
  readonly tail: readonly string[];

  constructor(session: SessionView, tail: readonly string[]) {
    super('not ready');
    this.session = session;
    this.tail = tail;
  }
}
