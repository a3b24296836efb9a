// Work of all kinds through one relay for a given time, while the link is cut and agents come and go. At moments without
// work the resources of relay and agent are counted: whatever stays behind after each visit shows as growth.
import {createHash, randomBytes} from 'node:crypto';
import {readFileSync} from 'node:fs';
import {type ClientRequest, request as httpRequest} from 'node:http';
import {request as httpsRequest} from 'node:https';
import type {Child} from '../helpers/child.js';
import {type Cli, expose} from '../helpers/cli.js';
import {Scope} from '../helpers/scope.js';
import {httpUpstream} from '../helpers/upstreams.js';
import {type Address, tcpVisitor} from '../helpers/visitors.js';
import {countTimers, type Inspection, inspect, type Rig, sleep, startRig} from './rig.js';
import {Gate} from './work-gate.js';

export interface SoakOptions {
  seconds: number;
  /** How often the resources are counted. */
  samples: number;
  /**
   * How long the relay keeps a broken link's streams, seconds. A machine that stands still for longer ends the silent visitors;
   * each count waits for so long, because an agent that was killed is there until then. Default 1.
   */
  resumeWindow?: number;
}

export interface Sample {
  relay: Inspection;
  agent: Inspection;
}

export interface SoakReport {
  samples: readonly Sample[];
  /** How often each kind of work was done. */
  done: Readonly<Record<string, number>>;
  failures: readonly string[];
}

/** Visitors who stay for the whole time and are silent. */
const HELD = 20;

const BULK_BYTES = 1 << 20;

/** Agents that come and go are always the same few: what the relay keeps for an owner is not growth. */
const COMERS = 3;

/** How often a process is asked again whose resources still change. */
const SETTLE_TRIES = 40;
const SETTLE_EVERY_MS = 250;
/** From the end of a session on, until nothing of it is left. */
const LEAVE_MS = 1_000;

class Soak {
  readonly #rig: Rig;
  readonly #agent: Cli;
  readonly #tls: Address;
  readonly #tcp: Address;
  readonly #ca: string;
  readonly #upload = randomBytes(BULK_BYTES);
  readonly #comers: string[] = [];
  readonly #done: Record<string, number> = {};
  readonly #failures: string[] = [];
  readonly #gate = new Gate();
  #upstreamPort = 0;
  #over = false;

  constructor(rig: Rig, agent: Cli, tls: Address, tcp: Address) {
    this.#rig = rig;
    this.#agent = agent;
    this.#tls = tls;
    this.#tcp = tcp;
    this.#ca = readFileSync(rig.caFile, 'utf8');
  }

  async run(
    scope: Scope,
    upstreamPort: number,
    {seconds, samples: count, resumeWindow = 1}: SoakOptions,
  ): Promise<SoakReport> {
    this.#upstreamPort = upstreamPort;
    for (let i = 0; i < COMERS; i += 1) this.#comers.push(await scope.tempDir('comer'));
    for (let i = 0; i < HELD; i += 1) await this.#hold(scope);
    const works = [
      ...[0, 1, 2].map(() => this.#repeat('visits', 0, () => this.#visit(this.#tcp, false))),
      this.#repeat('visits by HTTPS', 0, () => this.#visit(this.#tls, true)),
      this.#repeat('downloads', 20, () => this.#download()),
      this.#repeat('uploads', 20, () => this.#send()),
      this.#repeat('link cuts', 1_000, async () => this.#rig.proxy.reset()),
      this.#repeat('agents that came and went', 500, () => this.#comeAndGo()),
    ];
    const samples: Sample[] = [];
    const leastMs = resumeWindow * 1000 + LEAVE_MS;
    try {
      for (let i = 0; i < count; i += 1) {
        await sleep((seconds * 1000) / count);
        await this.#gate.close();
        const ends = [this.#rig.relay.cli, this.#agent];
        const [relay, agent] = (await Promise.all(ends.map((end) => settled(end, leastMs)))) as [
          Inspection,
          Inspection,
        ];
        samples.push({relay, agent});
        this.#gate.open();
      }
    } finally {
      this.#over = true;
      this.#gate.open();
      await Promise.all(works);
    }
    return {samples, done: this.#done, failures: this.#failures};
  }

  /** Does the work again and again, with a pause after each time. */
  async #repeat(name: string, pauseMs: number, work: () => Promise<void>): Promise<void> {
    this.#done[name] = 0;
    while (!this.#over) {
      await this.#gate.enter();
      try {
        await work();
        this.#done[name] += 1;
      } catch (error) {
        this.#failures.push(`${name}: ${error instanceof Error ? error.message : error}`);
      } finally {
        this.#gate.leave();
      }
      // A turn of the event loop at least, also without a pause.
      await sleep(pauseMs);
    }
  }

  async #visit(address: Address, isTls: boolean): Promise<void> {
    const body = await this.#ask(address, isTls, '/');
    if (!body.toString().includes('upstream')) throw new Error(`wrong page: ${body.subarray(0, 100)}`);
  }

  async #download(): Promise<void> {
    const body = await this.#ask(this.#tls, true, `/bytes?n=${BULK_BYTES}`);
    if (body.length !== BULK_BYTES) throw new Error(`${body.length} bytes came`);
  }

  async #send(): Promise<void> {
    const body = await this.#ask(this.#tls, true, '/upload', this.#upload);
    const {sha256} = JSON.parse(body.toString()) as {sha256: string};
    if (sha256 !== createHash('sha256').update(this.#upload).digest('hex')) throw new Error('wrong bytes');
  }

  /** A visitor with an open request. */
  async #hold(scope: Scope): Promise<void> {
    const visitor = await tcpVisitor(scope, this.#tcp.port);
    visitor.write('GET /events HTTP/1.1\r\nhost: held\r\n\r\n');
    await new Promise((resolve) => visitor.once('data', resolve));
    // A reset is an error and then a close.
    visitor.on('error', () => {});
    visitor.on('close', () => {
      if (!this.#over) this.#failures.push('a silent visitor was closed');
    });
  }

  /** An agent comes, serves one visitor, and goes in order or dies. Its link is not cut: a first link that breaks ends `tunl`. */
  async #comeAndGo(): Promise<void> {
    await using own = new Scope();
    const turn = this.#done['agents that came and went'] ?? 0;
    const stateDir = this.#comers[turn % COMERS] ?? '';
    const {cli, ready} = await expose(own, this.#upstreamPort, {
      stateDir,
      env: {...this.#rig.relay.env, TUNL_CA_FILE: this.#rig.caFile},
    });
    try {
      await this.#visit(ready.tls ?? {host: '', port: 0}, true);
    } finally {
      cli.signal(turn % 2 === 0 ? 'SIGTERM' : 'SIGKILL');
      await cli.exited;
    }
  }

  /** One request on a connection of its own. */
  #ask({host, port}: Address, isTls: boolean, path: string, body?: Buffer): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      const options = {
        ...{host: '127.0.0.1', port, path, agent: false as const, headers: {host}},
        ...(body && {method: 'PUT', headers: {host, 'content-length': body.length}}),
      };
      const asked: ClientRequest = isTls
        ? httpsRequest({...options, servername: host, ca: this.#ca})
        : httpRequest(options);
      asked.on('error', reject);
      asked.on('response', (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('error', reject);
        response.on('end', () => resolve(Buffer.concat(chunks)));
      });
      asked.end(body);
    });
  }
}

/**
 * The resources of a process once they do not change any more: an agent that has died leaves the relay after its window.
 * @param leastMs it is asked for at least so long
 */
export async function settled(child: Child, leastMs = 2_000): Promise<Inspection> {
  const least = leastMs / SETTLE_EVERY_MS;
  let before = await inspect(child);
  for (let tries = 0; tries < least + SETTLE_TRIES; tries += 1) {
    await sleep(SETTLE_EVERY_MS);
    const now = await inspect(child);
    if (now.descriptors === before.descriptors && now.timers === before.timers && tries >= least) return now;
    before = now;
  }
  return before;
}

/** @param scope ends the processes. */
export async function soak(scope: Scope, options: SoakOptions): Promise<SoakReport> {
  const rig = await startRig(scope, {
    quickRetry: true,
    env: countTimers,
    flags: ['--resume-window', `${options.resumeWindow ?? 1}s`, '--lease-grace', '2s'],
  });
  const {port} = await httpUpstream(scope);
  const {cli, ready} = await rig.expose(port, {flags: ['--tcp'], env: countTimers});
  const none = {host: '', port: 0};
  return await new Soak(rig, cli, ready.tls ?? none, ready.tcp ?? none).run(scope, port, options);
}

export interface Growth {
  metric: string;
  value: number;
  limit: number;
}

const MB = 1_000_000;

/** Each resource at the end, by its lowest value in the last third, less its lowest in the third before. */
export function growth(samples: readonly Sample[]): Growth[] {
  const third = Math.floor(samples.length / 3);
  const [middle, last] = [samples.slice(third, -third), samples.slice(-third)];
  return (['relay', 'agent'] as const).flatMap((end) => {
    const grown = (pick: (inspection: Inspection) => number) =>
      Math.min(...last.map((sample) => pick(sample[end]))) -
      Math.min(...middle.map((sample) => pick(sample[end])));
    return [
      {
        metric: `${end}: heap and buffers, MB`,
        value: grown(({heapUsed, external}) => heapUsed + external) / MB,
        limit: 1,
      },
      {metric: `${end}: RSS, MB`, value: grown(({rss}) => rss) / MB, limit: 20},
      {metric: `${end}: descriptors`, value: grown(({descriptors}) => descriptors), limit: 0},
      {metric: `${end}: timers`, value: grown(({timers}) => timers), limit: 0},
    ];
  });
}
