// The HTTP server of a hub. Only its tunnel reaches it: it listens on a Unix socket, or on loopback.

import {once} from 'node:events';
import type {IncomingMessage, Server, ServerResponse} from 'node:http';
import type {Clock} from '../../core/clock.js';
import {toTunlError} from '../../core/errors.js';
import type {Logger} from '../../core/logger.js';
import {createServer} from '../../core/node-http.js';
import {software} from '../../core/software.js';
import type {SessionView} from '../session.js';
import {readBody} from './body.js';
import type {Caller, Callers} from './callers.js';
import {EventStreams} from './events.js';
import {openApi} from './openapi.js';
import {HttpProblem, problemOf} from './problem.js';
import {type ApiAnswer, type ApiContext, NotReady, ROUTES, type Route, scopeOf, shown} from './routes.js';

const REQUEST_MS = 15_000;
const MAX_CONNECTIONS = 1_024;

export interface HubPages {
  /** Answers requests for pages, their files and the sign-in; false: it is none of them. */
  answer(req: IncomingMessage, res: ServerResponse, path: string): Promise<boolean>;
  /** The caller of a page that has signed in; undefined: it has not. */
  callerOf(req: IncomingMessage): Promise<Caller | undefined>;
}

export interface HubServerOptions extends ApiContext {
  readonly callers: Pick<Callers, 'byHeader'>;
  readonly clock: Clock;
  readonly log: Logger;
  readonly url: () => string;
  readonly pages?: HubPages | undefined;
}

export class HubServer {
  readonly server: Server;
  readonly #options: HubServerOptions;
  readonly #events: EventStreams;

  constructor(options: HubServerOptions) {
    this.#options = options;
    this.#events = new EventStreams(options.sessions, options.clock);
    const limits = {headersTimeout: REQUEST_MS, requestTimeout: REQUEST_MS, maxHeaderSize: 16_384};
    this.server = createServer(limits, (req, res) => void this.#answer(req, res));
    this.server.maxConnections = MAX_CONNECTIONS;
  }

  async close(): Promise<void> {
    this.#events.close();
    if (!this.server.listening) return;
    const closed = once(this.server, 'close');
    this.server.close();
    this.server.closeAllConnections();
    await closed;
  }

  async #answer(req: IncomingMessage, res: ServerResponse): Promise<void> {
    res.on('error', () => {});
    res.setHeader('X-Content-Type-Options', 'nosniff');
    res.setHeader('Referrer-Policy', 'no-referrer');
    res.setHeader('Cache-Control', 'no-store');
    try {
      await this.#route(req, res);
    } catch (error) {
      this.#refuse(req, res, error);
    }
  }

  async #route(req: IncomingMessage, res: ServerResponse): Promise<void> {
    const url = new URL(req.url ?? '/', 'http://hub');
    const path = url.pathname;
    if (await this.#options.pages?.answer(req, res, path)) return;
    if (path === '/healthz') return sendJson(res, 200, {status: 'ok'});
    if (path === '/openapi.json')
      return sendJson(
        res,
        200,
        openApi({url: this.#options.url(), version: software.slice(software.indexOf('/') + 1)}),
      );
    const matches = ROUTES.flatMap((route) => {
      const id = match(route.path, path);
      return id === undefined ? [] : [{route, id}];
    });
    const [first] = matches;
    if (first === undefined)
      throw new HttpProblem(404, 'HUB_SESSION_UNKNOWN', 'There is nothing at this path.');
    const found = matches.find(({route}) => route.method === (req.method === 'HEAD' ? 'GET' : req.method));
    if (found === undefined) {
      const allow = matches.map(({route}) => route.method).join(', ');
      throw new HttpProblem(405, 'OPTION_INVALID', `This path takes ${allow}.`, {Allow: allow});
    }
    await this.#run(req, res, {...found, query: url.searchParams});
  }

  async #run(
    req: IncomingMessage,
    res: ServerResponse,
    {route, id, query}: {route: Route; id: string; query: URLSearchParams},
  ): Promise<void> {
    const caller = await this.#callerOf(req);
    const body = await readBody(req, route.body);
    const {sessions} = this.#options;
    if (route.path.includes('{id}')) {
      const owner = sessions.ownerOf(id);
      // The session of somebody else does not exist for this caller.
      if (owner === undefined || !(caller.isAdmin || owner === caller.user.id))
        throw new HttpProblem(404, 'HUB_SESSION_UNKNOWN', 'There is no such session.');
    }
    const gone = new AbortController();
    res.on('close', () => gone.abort());
    const answer = await route.run(this.#options, {
      caller,
      id,
      body,
      query,
      header: (name) => req.headers[name]?.toString(),
      signal: gone.signal,
    });
    await this.#send(req, res, answer, {caller, query, signal: gone.signal});
  }

  async #callerOf(req: IncomingMessage): Promise<Caller> {
    const {callers, pages} = this.#options;
    const {authorization} = req.headers;
    const signedIn = authorization === undefined ? await pages?.callerOf(req) : undefined;
    return signedIn ?? (await callers.byHeader(authorization, addressOf(req)));
  }

  async #send(
    req: IncomingMessage,
    res: ServerResponse,
    answer: ApiAnswer,
    {caller, query, signal}: {caller: Caller; query: URLSearchParams; signal: AbortSignal},
  ): Promise<void> {
    if ('json' in answer) return sendJson(res, answer.status, answer.json, answer.headers);
    if ('location' in answer) {
      res.writeHead(303, {Location: answer.location, 'Content-Type': 'text/plain; charset=utf-8'});
      res.end('The session is at the address in Location.\n');
      return;
    }
    if (answer.stream === 'events') {
      const scope = answer.of === undefined ? scopeOf(caller, query) : undefined;
      const sees = (owner: string) => scope === undefined || owner === scope;
      const show = (view: SessionView) => shown(view, caller);
      this.#events.add({req, res, userId: caller.user.id, of: answer.of, sees, show});
      return;
    }
    await this.#sendLogs(res, answer.of ?? '', {follow: query.get('follow') === 'true', signal});
  }

  async #sendLogs(
    res: ServerResponse,
    id: string,
    {follow, signal}: {follow: boolean; signal: AbortSignal},
  ): Promise<void> {
    const {sessions} = this.#options;
    const sandbox = sessions.sandboxOf(id);
    res.writeHead(200, {'Content-Type': 'text/plain; charset=utf-8'});
    if (sandbox === undefined) {
      res.end(
        sessions
          .view(id)
          ?.end?.tail.map((line) => `${line}\n`)
          .join('') ?? '',
      );
      return;
    }
    const hide = sessions.hiderOf(id);
    for await (const {bytes} of sandbox.logs({follow, signal})) {
      const text = hide.push(bytes);
      if (text.length > 0 && !res.write(text)) await Promise.race([once(res, 'drain'), once(res, 'close')]);
      if (res.destroyed) return;
    }
    res.end(hide.end());
  }

  #refuse(req: IncomingMessage, res: ServerResponse, error: unknown): void {
    if (res.headersSent) {
      res.destroy();
      return;
    }
    const problem = error instanceof NotReady ? notReady(error) : problemOf(error);
    if (problem.status === 500)
      this.#options.log.error('a request failed', {
        path: req.url?.slice(0, 200),
        reason: String(error),
        code: toTunlError(error).code,
      });
    res.writeHead(problem.status, {...problem.headers, 'Content-Type': 'application/problem+json'});
    res.end(`${JSON.stringify(problem.body)}\n`);
  }
}

function notReady({session, tail}: NotReady): ReturnType<typeof problemOf> {
  const isLate = session.end === undefined || session.end.reason === 'not-ready';
  const detail = session.end?.detail ?? `The session is ${session.state}.`;
  const code = isLate ? 'HUB_NOT_READY' : 'HUB_FAILED';
  return {
    ...problemOf(new HttpProblem(isLate ? 504 : 502, code, detail), {
      session: session.id,
      tail,
    }),
  };
}

function sendJson(
  res: ServerResponse,
  status: number,
  value: unknown,
  headers: Readonly<Record<string, string>> = {},
): void {
  const body = `${JSON.stringify(value)}\n`;
  res.writeHead(status, {
    'Content-Type': 'application/json',
    'Content-Length': Buffer.byteLength(body),
    ...headers,
  });
  res.end(body);
}

/** The `{id}`, or '' for a path without one; undefined: another path. */
function match(pattern: string, path: string): string | undefined {
  const [before, after] = pattern.split('{id}');
  if (after === undefined) return pattern === path ? '' : undefined;
  const id = path.slice(before?.length ?? 0, path.length - after.length);
  return path.startsWith(before ?? '') && path.endsWith(after) && /^s_[a-z2-9]{1,20}$/.test(id)
    ? id
    : undefined;
}

/** The tunnel's agent writes this header, and removes a visitor's own. */
export function addressOf(req: IncomingMessage): string {
  const header = req.headers['x-forwarded-for'];
  return (typeof header === 'string' ? header : undefined) ?? req.socket.remoteAddress ?? 'unknown';
}
