// The operation of a relay: its admin socket, and what the relay tells there.

import {readdir, rm, stat} from 'node:fs/promises';
import {join} from 'node:path';
import type {Clock} from '../../core/clock.js';
import {
  askControlSocket,
  type Control,
  type ControlAnswer,
  serveControlSocket,
} from '../../core/control-socket.js';
import type {Logger} from '../../core/logger.js';
import {randomBytes} from '../../core/node-crypto.js';
import {openStateDir} from '../../core/state-dir.js';
import type {BlockedFile} from '../access/blocked-file.js';
import type {CertificateSource} from '../certificates/certificates.js';
import type {RelayEvents} from '../events.js';
import type {Part} from '../part.js';
import type {RunningRelay} from '../running-relay.js';
import type {RelaySettings} from '../settings.js';
import {ACTIONS, type AdminRequest, readRequest} from './actions.js';
import {ADMIN_FOLDER} from './admin-folder.js';
import {AuditFile} from './audit-file.js';
import {AuditLog} from './audit-log.js';
import {EventCounters} from './event-counters.js';
import {HttpDoor} from './http-door.js';
import type {Operations} from './report.js';

/** A socket that does not answer, and is at least this old, belongs to a process that was killed, ms. */
const STALE_MS = 10_000;

export interface AdminOptions {
  domain: string;
  software: string;
  settings: RelaySettings;
  operations: Operations;
  blocked: BlockedFile;
  certificates: Pick<CertificateSource, 'expiresAt' | 'caFile'>;
  /** The numbers of the worker processes that serve. */
  workers: () => readonly number[];
  events: RelayEvents;
  clock: Clock;
  log: Logger;
}

export class Admin implements Part {
  readonly options: AdminOptions;
  readonly counters = new EventCounters();
  readonly startedAt = new Date();
  #relay: RunningRelay | undefined;
  #settings: RelaySettings;
  /** A part of its own, which closes after all others: they have events until their ends. */
  readonly audit: AuditFile | undefined;
  readonly #http: HttpDoor | undefined;
  #control: Control | undefined;
  #isDraining = false;

  constructor(options: AdminOptions) {
    this.options = options;
    const {settings, events, clock, log} = options;
    this.#settings = settings;
    events.listen(this.counters.listen);
    const {auditFile, metricsListen: at, metricsHosts: names} = settings;
    if (auditFile !== undefined) {
      const audit = new AuditFile(auditFile, log);
      const lines = new AuditLog(clock);
      events.listen((event) => {
        for (const line of lines.linesOf(event)) audit.add(line);
      });
      this.audit = audit;
    }
    if (at !== undefined) this.#http = new HttpDoor({admin: this, at, names, log});
  }

  /** As they are now. */
  get settings(): RelaySettings {
    return this.#settings;
  }

  reload(settings: RelaySettings): void {
    this.#settings = settings;
  }

  /** Called when all parts of the relay have started. */
  serves(relay: RunningRelay): void {
    this.#relay = relay;
    relay.metricsAddress = this.#http?.address;
  }

  /** Undefined until all parts have started. */
  get relay(): RunningRelay | undefined {
    return this.#relay;
  }

  get isDraining(): boolean {
    return this.#isDraining;
  }

  /** The number of lines of the audit file that could not be written. */
  get auditLinesLost(): number {
    return this.audit?.lost ?? 0;
  }

  async start(): Promise<void> {
    const {settings} = this.options;
    await this.#http?.open();
    if (settings.admin) await this.#openSocket();
  }

  async #openSocket(): Promise<void> {
    const {settings, log} = this.options;
    // Files have no numeric owner on Windows, so nobody could tell whose socket it is.
    if (process.getuid === undefined) return;
    const folder = await openStateDir(settings.stateDir, ADMIN_FOLDER);
    await removeStale(folder);
    // Each process has its own name: two relays of one state folder do not take it from each other.
    const name = `${process.pid}-${randomBytes(4).toString('hex')}.sock`;
    this.#control = await serveControlSocket<AdminRequest>(folder, name, {
      read: readRequest,
      answer: (request) => this.#answer(request),
    });
    if (this.#control === undefined)
      log.warn('there is no admin socket: tunl relay status and its like cannot ask this relay', {folder});
  }

  drain(): void {
    this.#isDraining = true;
  }

  close(): void {
    this.#isDraining = true;
    this.#http?.close();
    this.#control?.closeSync();
    this.#control = undefined;
  }

  async #answer({action, words}: AdminRequest): Promise<ControlAnswer | undefined> {
    const known = ACTIONS.find(({name}) => name === action);
    return known && {ok: true, ...(await known.run(this, words))};
  }
}

/** Removes sockets of processes that were killed. A name is never used again, so a socket in use cannot be meant. */
async function removeStale(folder: string): Promise<void> {
  for (const name of await readdir(folder).catch(() => [])) {
    const path = join(folder, name);
    const {mtimeMs} = await stat(path).catch(() => ({mtimeMs: Date.now()}));
    if (!name.endsWith('.sock') || Date.now() - mtimeMs < STALE_MS) continue;
    const answer = await askControlSocket(folder, name, {do: 'who'}, {timeoutMs: 2_000}).catch(
      () => undefined,
    );
    if (answer === undefined) await rm(path, {force: true}).catch(() => {});
  }
}
