// The listener for metrics, health and the operators' page: read only, and apart from the ports of agents and visitors.

import {readFile} from 'node:fs/promises';
import type {IncomingMessage, Server, ServerResponse} from 'node:http';
import type {Logger} from '../../core/logger.js';
import {createServer} from '../../core/node-http.js';
import {packageRoot} from '../../core/package-root.js';
import {type HostPort, isLoopbackHost} from '../../protocol/targets.js';
import {listenOn} from '../doors/listen.js';
import type {Admin} from './admin.js';
import {readinessOf} from './health.js';
import {isOwnHost} from './hosts.js';
import {metricsOf} from './metrics.js';
import {PageFeed} from './page-feed.js';
import {metricsText, OPEN_METRICS_TYPE, TEXT_TYPE, wantsOpenMetrics} from './prometheus.js';

/** Scrapers, probes, and the pages of a few operators. */
const MAX_CONNECTIONS = 64;
const REQUEST_MS = 10_000;

/** Everything that the page needs comes from here; no other page may contain it. */
const HEADERS = {
  'Cache-Control': 'no-store',
  'X-Content-Type-Options': 'nosniff',
  'Referrer-Policy': 'no-referrer',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Content-Security-Policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
} as const;

/** The files of the page, by path. */
const FILES: Readonly<Record<string, readonly [file: string, type: string]>> = {
  '/': ['relay-page/index.html', 'text/html; charset=utf-8'],
  '/base.css': ['pages/base.css', 'text/css; charset=utf-8'],
  '/page.css': ['relay-page/page.css', 'text/css; charset=utf-8'],
  '/page.js': ['relay-page/page.js', 'text/javascript; charset=utf-8'],
};

type Answer = (req: IncomingMessage, res: ServerResponse) => void | Promise<void>;

export interface HttpDoorOptions {
  admin: Admin;
  at: HostPort;
  /** Further names in the Host header. */
  names: readonly string[];
  log: Logger;
}

export class HttpDoor {
  readonly #options: HttpDoorOptions;
  readonly #server: Server;
  readonly #feed: PageFeed;
  #address: HostPort;

  constructor(options: HttpDoorOptions) {
    this.#options = options;
    this.#address = options.at;
    this.#feed = new PageFeed(options.admin);
    const limits = {headersTimeout: REQUEST_MS, requestTimeout: REQUEST_MS, maxHeaderSize: 16_384};
    this.#server = createServer(limits, (req, res) => this.#answer(req, res));
    this.#server.maxConnections = MAX_CONNECTIONS;
    this.#server.keepAliveTimeout = REQUEST_MS;
  }

  /** The actual address, once it listens. */
  get address(): HostPort {
    return this.#address;
  }

  /** @throws TunlError LISTEN_* */
  async open(): Promise<void> {
    const {at, log} = this.#options;
    this.#address = await listenOn(this.#server, at, false);
    this.#server.unref();
    log.info('metrics, health and the operators’ page are served', {...this.#address});
    if (!isLoopbackHost(at.host))
      log.warn('everybody who reaches this address sees metrics, owners and addresses of agents', {...at});
  }

  close(): void {
    this.#feed.close();
    this.#server.close();
    this.#server.closeAllConnections();
  }

  #answer(req: IncomingMessage, res: ServerResponse): void {
    for (const [name, value] of Object.entries(HEADERS)) res.setHeader(name, value);
    const path = (req.url ?? '/').split('?', 1)[0] ?? '/';
    const {names, at, log} = this.#options;
    if (!isOwnHost(req.headers.host, [at.host, ...names])) {
      sendText(res, 421, 'This listener does not have that name: use its address, or --metrics-host.\n');
      return;
    }
    if (req.method !== 'GET' && req.method !== 'HEAD') {
      res.setHeader('Allow', 'GET, HEAD');
      sendText(res, 405, 'Only GET is supported.\n');
      return;
    }
    const answer = this.#answers.get(path);
    if (answer === undefined) {
      sendText(res, 404, 'Not found.\n');
      return;
    }
    Promise.resolve(answer(req, res)).catch((error: unknown) => {
      log.error('a request for metrics failed', {path, reason: String(error)});
      res.destroy();
    });
  }

  readonly #answers: ReadonlyMap<string, Answer> = new Map<string, Answer>([
    [
      '/metrics',
      async (req, res) => {
        const open = wantsOpenMetrics(req.headers.accept);
        const text = metricsText(await metricsOf(this.#options.admin), {open});
        send(res, 200, {type: open ? OPEN_METRICS_TYPE : TEXT_TYPE, body: text});
      },
    ],
    // Browsers ask for it by themselves.
    ['/favicon.ico', (_req, res) => void res.writeHead(204).end()],
    ['/livez', (_req, res) => sendText(res, 200, 'ok\n')],
    [
      '/readyz',
      ({url = ''}, res) => {
        const query = url.split('?', 2)[1];
        const excluded = new URLSearchParams(query).getAll('exclude');
        const {ok, checks} = readinessOf(this.#options.admin, excluded);
        const body = `${JSON.stringify({status: ok ? 'ready' : 'not-ready', checks})}\n`;
        send(res, ok ? 200 : 503, {type: 'application/json', body});
      },
    ],
    ['/events', (req, res) => this.#feed.add(req, res)],
    ...Object.entries(FILES).map(([path, [file, type]]): [string, Answer] => [
      path,
      async (_req, res) => {
        const body = await readFile(new URL(`assets/${file}`, packageRoot));
        send(res, 200, {type, body});
      },
    ]),
  ]);
}

function send(
  res: ServerResponse,
  status: number,
  {type, body}: {type: string; body: string | Buffer},
): void {
  res.writeHead(status, {'Content-Type': type, 'Content-Length': Buffer.byteLength(body)});
  // Node leaves the body of an answer to HEAD out.
  res.end(body);
}

function sendText(res: ServerResponse, status: number, body: string): void {
  send(res, status, {type: 'text/plain; charset=utf-8', body});
}
