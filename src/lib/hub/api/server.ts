// The HTTP server of a hub. Only its tunnel reaches it: it listens on a Unix socket, or on loopback.

import {once} from 'node:events';
import type {IncomingMessage, Server, ServerResponse} from 'node:http';
import type {Clock} from '../../core/clock.js';
import {toTunlError} from '../../core/errors.js';
import type {Logger} from '../../core/logger.js';
import {createServer} from '../../core/node-http.js';
import {software} from '../../core/software.js';
import type {SessionView} from '../session.js';
import {AtOnce} from './at-once.js';
import {readBody} from './body.js';
import type {Caller, Callers} from './callers.js';
import {EventStreams} from './events.js';
import {sendLogs} from './logs.js';
import {LongAnswers} from './long-answers.js';
import {openApi} from './openapi.js';
import {HttpProblem, problemOf} from './problem.js';
import {type ApiAnswer, type ApiContext, NotReady, ROUTES, type Route, scopeOf, shown} from './routes.js';
import {Strangers} from './strangers.js';

const REQUEST_MS = 15_000;
const MAX_CONNECTIONS = 1_024;

export interface HubPages {
  /** Answers requests for pages, their files and the sign-in; false: it is none of them. */
  answer(req: IncomingMessage, res: ServerResponse, path: string): Promise<boolean>;
  /** The caller of a page that has signed in; undefined: it has not. */
  callerOf(req: IncomingMessage): Promise<Caller | undefined>;
}

export interface HubServerOptions extends ApiContext {
  /** Without `of`: its callers have no users who could be removed. */
  readonly callers: Pick<Callers, 'byHeader'> & Partial<Pick<Callers, 'of'>>;
  readonly clock: Clock;
  readonly log: Logger;
  readonly url: () => string;
  readonly pages?: HubPages | undefined;
}

export class HubServer {
  readonly server: Server;
  readonly #options: HubServerOptions;
  readonly #answers: LongAnswers;
  readonly #events: EventStreams;
  readonly #atOnce = new AtOnce();
  readonly #strangers = new Strangers(MAX_CONNECTIONS / 2);
  #document: {readonly url: string; readonly json: object} | undefined;

  constructor(options: HubServerOptions) {
    this.#options = options;
    this.#answers = new LongAnswers(options.callers, options.clock);
    this.#events = new EventStreams(options.sessions, options.clock, this.#answers);
    const limits = {
      headersTimeout: REQUEST_MS,
      requestTimeout: REQUEST_MS,
      connectionsCheckingInterval: 1_000,
      maxHeaderSize: 16_384,
    };
    this.server = createServer(limits, (req, res) => void this.#answer(req, res));
    this.server.maxConnections = MAX_CONNECTIONS;
    this.server.on('connection', (socket) => socket.once('close', () => this.#strangers.delete(socket)));
  }

  async close(): Promise<void> {
    this.#events.close();
    this.#answers.close();
    if (!this.server.listening) return;
    const closed = once(this.server, 'close');
    this.server.close();
    this.server.closeAllConnections();
    await closed;
  }

  async #answer(req: IncomingMessage, res: ServerResponse): Promise<void> {
    // First of all: a client may leave during each wait below.
    const gone = new AbortController();
    const stranger = () => this.#strangers.add(req.socket, addressOf(req));
    stranger();
    res.once('close', () => {
      gone.abort();
      // Its body may still come, or another request, of anybody.
      stranger();
    });
    res.on('error', () => {});
    res.setHeader('X-Content-Type-Options', 'nosniff');
    res.setHeader('Referrer-Policy', 'no-referrer');
    res.setHeader('Cross-Origin-Resource-Policy', 'same-origin');
    res.setHeader('Cache-Control', 'no-store');
    try {
      await this.#route(req, res, gone.signal);
    } catch (error) {
      this.#refuse(req, res, error);
    }
  }

  async #route(req: IncomingMessage, res: ServerResponse, signal: AbortSignal): Promise<void> {
    const url = urlOf(req);
    const path = url.pathname;
    if (await this.#options.pages?.answer(req, res, path)) return;
    if (path === '/healthz') return sendJson(res, 200, {status: 'ok'});
    if (path === '/openapi.json') return sendJson(res, 200, this.#openApi());
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
    await this.#run(req, res, {...found, query: url.searchParams, signal});
  }

  async #run(
    req: IncomingMessage,
    res: ServerResponse,
    {route, id, query, signal}: {route: Route; id: string; query: URLSearchParams; signal: AbortSignal},
  ): Promise<void> {
    const caller = await this.#callerOf(req);
    this.#strangers.delete(req.socket);
    using _place = this.#atOnce.enter(caller.user);
    const body = await readBody(req, route.body);
    const {sessions} = this.#options;
    if (route.path.includes('{id}')) {
      const owner = sessions.ownerOf(id);
      // The session of somebody else does not exist for this caller.
      if (owner === undefined || !(caller.isAdmin || owner === caller.user.id))
        throw new HttpProblem(404, 'HUB_SESSION_UNKNOWN', 'There is no such session.');
    }
    const answer = await route.run(this.#options, {
      caller,
      id,
      body,
      query,
      header: (name) => req.headers[name]?.toString(),
      signal,
    });
    if (!res.destroyed) await this.#send(res, answer, {caller, query, signal});
  }

  async #callerOf(req: IncomingMessage): Promise<Caller> {
    const {callers, pages} = this.#options;
    const {authorization} = req.headers;
    const signedIn = authorization === undefined ? await pages?.callerOf(req) : undefined;
    return signedIn ?? (await callers.byHeader(authorization, addressOf(req)));
  }

  #openApi(): object {
    const url = this.#options.url();
    if (this.#document?.url !== url) {
      const version = software.slice(software.indexOf('/') + 1);
      this.#document = {url, json: openApi({url, version})};
    }
    return this.#document.json;
  }

  async #send(
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
      const show = (view: SessionView) => shown(view, this.#options.sessions, caller);
      await this.#events.add({res, caller, of: answer.of, sees, show, gone: signal});
      return;
    }
    const follow = query.get('follow') === 'true';
    const {sessions} = this.#options;
    await sendLogs(sessions, this.#answers, {res, caller, id: answer.of ?? '', follow, gone: signal});
  }

  #refuse(req: IncomingMessage, res: ServerResponse, error: unknown): void {
    if (res.headersSent || res.destroyed) {
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

/** @throws HttpProblem 400 */
function urlOf({url = '/'}: IncomingMessage): URL {
  // After two slashes a URL has a host.
  const found = url.startsWith('//') ? null : URL.parse(url, 'http://hub');
  if (found === null) throw new HttpProblem(400, 'OPTION_INVALID', 'The path cannot be read.');
  return found;
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
