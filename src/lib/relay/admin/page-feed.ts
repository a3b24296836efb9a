// The live data of the operators' page: one snapshot for all open pages, as server-sent events.

import type {IncomingMessage, ServerResponse} from 'node:http';
import type {Timer} from '../../core/clock.js';
import type {Setting} from '../../core/settings.js';
import type {RelaySettings} from '../settings.js';
import {RELAY_SETTINGS} from '../settings-table.js';
import type {Admin} from './admin.js';
import {overviewOf} from './overview.js';

const EVERY_MS = 2_000;
const MOST_PAGES = 16;
/** The sessions, and the members of networks, that a page shows. `tunl relay status` shows all. */
const MOST_SESSIONS = 200;
const MOST_MEMBERS = 200;
/** The owners of an egress that a page gets. */
const MOST_OWNERS = 20;
/** A page that does not read is closed at this many unread bytes. */
const MOST_UNREAD = 1024 * 1024;

export class PageFeed {
  readonly #admin: Admin;
  readonly #pages = new Set<ServerResponse>();
  #timer: Timer | undefined;
  #isAsking = false;

  constructor(admin: Admin) {
    this.#admin = admin;
  }

  add(req: IncomingMessage, res: ServerResponse): void {
    if (this.#pages.size >= MOST_PAGES) {
      res.writeHead(503, {'Retry-After': '30'}).end();
      return;
    }
    res.writeHead(200, {'Content-Type': 'text/event-stream'});
    if (req.method === 'HEAD') {
      res.end();
      return;
    }
    this.#pages.add(res);
    res.on('error', () => {});
    res.on('close', () => this.#pages.delete(res));
    res.write(`retry: ${EVERY_MS}\n\n`);
    void this.#tell();
  }

  close(): void {
    this.#timer?.cancel();
    for (const page of this.#pages) page.destroy();
    this.#pages.clear();
  }

  /** Nobody is asked while no page is open. */
  async #tell(): Promise<void> {
    if (this.#isAsking || this.#pages.size === 0) return;
    this.#isAsking = true;
    const text = await this.#snapshot().catch(() => undefined);
    this.#isAsking = false;
    for (const page of this.#pages) {
      if (page.writableLength > MOST_UNREAD) page.destroy();
      else if (text !== undefined) page.write(`data: ${text}\n\n`);
    }
    this.#timer?.cancel();
    this.#timer = this.#admin.options.clock.after(EVERY_MS, () => void this.#tell());
  }

  async #snapshot(): Promise<string> {
    const {options, relay, isDraining} = this.#admin;
    const {operations} = options;
    const [overview, sessions, egresses, networks] = await Promise.all([
      overviewOf(this.#admin),
      operations.sessions(MOST_SESSIONS),
      operations.egresses(),
      operations.networks(MOST_MEMBERS),
    ]);
    const {domain, software} = options;
    const limits = limitsOf(this.#admin.settings);
    const url = relay?.url ?? '';
    return JSON.stringify({
      ...{domain, software, url, isDraining, now: Date.now(), overview, limits, sessions, networks},
      egresses: egresses.map((each) => ({...each, owners: each.owners.slice(0, MOST_OWNERS)})),
    });
  }
}

/** The settings that are limits, in words. */
function limitsOf(settings: RelaySettings): [name: string, value: string][] {
  const values: Readonly<Record<string, unknown>> = {...settings};
  return Object.entries<Setting<unknown>>(RELAY_SETTINGS).flatMap(([name, row]) => {
    if (row.group !== 'limit') return [];
    const value = values[name];
    const shown = value === undefined ? (row.defaultText ?? 'none') : row.kind.show(value);
    return [[(row.key ?? row.flag ?? name).replaceAll('-', ' '), shown]];
  });
}
