// A machine with a seal, and a small internet of its own beside it. Needs root; nothing outside its namespaces changes.

import {writeFile} from 'node:fs/promises';
import {fileURLToPath} from 'node:url';
import type {EgressRules} from '../../src/lib/seal/rules.js';
import {Child, type ChildOptions} from './child.js';
import {type Host, twoHosts} from './net-ns.js';
import type {Scope} from './scope.js';

const file = (name: string) => fileURLToPath(new URL(name, import.meta.url));

/** The internet's addresses. */
export const SITE = {v4: '203.0.113.10', v6: '2001:db8::10'} as const;
export const FORBIDDEN = {v4: '203.0.113.66', v6: '2001:db8::66'} as const;
const NAME_SERVER = '203.0.113.53';
const PRIVATE = ['10.9.9.9', '169.254.169.254', '100.64.9.9', 'fd00:9::9'] as const;

const ZONE = {
  'allowed.example': {a: [SITE.v4], aaaa: [SITE.v6]},
  'a.b.wild.example': {a: [SITE.v4]},
  'wild.example': {a: [SITE.v4]},
  'forbidden.example': {a: [FORBIDDEN.v4]},
  'inside.example': {a: ['10.9.9.9'], aaaa: ['fd00:9::9']},
  'metadata.example': {a: ['169.254.169.254'], aaaa: ['::ffff:a9fe:a9fe']},
  'cname.example': {cname: 'inside.example'},
  'mixed.example': {a: ['10.9.9.9', SITE.v4, '127.0.0.1']},
  'loopback.example': {a: ['127.0.0.1', '0.0.0.0'], aaaa: ['::1', '::']},
  'rebind-root.example': {turns: [SITE.v4, '10.9.9.9']},
  'rebind-user.example': {turns: [SITE.v4, '10.9.9.9']},
};

export interface Surroundings {
  machine: Host;
  /** Names that the name server was asked for. */
  asked(): string[];
  /** Packets that reached something which no rule of the tests allows, on any address. */
  forbiddenPackets(): Promise<number>;
  /** Connections to a service on the machine itself. */
  machinePackets(): Promise<number>;
}

/** The port of a service on the machine, on all its addresses. */
export const MACHINE_PORT = 7_007;

export async function sealSurroundings(scope: Scope): Promise<Surroundings> {
  const {one: machine, two: internet} = await twoHosts(scope);
  const device =
    (await internet.run('ip', '-o', 'link', 'show', 'type', 'veth')).split(': ')[1]?.split('@')[0] ?? '';
  const own =
    (await machine.run('ip', '-o', 'link', 'show', 'type', 'veth')).split(': ')[1]?.split('@')[0] ?? '';
  for (const address of [SITE.v4, FORBIDDEN.v4, NAME_SERVER, ...PRIVATE, SITE.v6, FORBIDDEN.v6]) {
    const isSix = address.includes(':');
    await internet.run(
      'ip',
      'address',
      'add',
      `${address}/${isSix ? 128 : 32}`,
      'dev',
      device,
      ...(isSix ? ['nodad'] : []),
    );
  }
  await internet.run('ip', 'address', 'add', '2001:db8:1::2/64', 'dev', device, 'nodad');
  await machine.run('ip', 'address', 'add', '2001:db8:1::1/64', 'dev', own, 'nodad');
  await machine.run('ip', 'route', 'add', 'default', 'via', internet.address);
  await machine.run('ip', '-6', 'route', 'add', 'default', 'via', '2001:db8:1::2');
  await internet.run(
    'nft',
    `add table inet watch
    add counter inet watch forbidden
    add chain inet watch nat { type nat hook prerouting priority -100 ; }
    add rule inet watch nat meta l4proto tcp dnat to :9
    add chain inet watch raw { type filter hook prerouting priority -300 ; }
    add rule inet watch raw icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, nd-router-solicit, mld2-listener-report } accept
    add rule inet watch raw ip daddr ${SITE.v4} tcp dport { 22, 80, 443, 5432 } accept
    add rule inet watch raw ip6 daddr ${SITE.v6} tcp dport { 22, 80, 443, 5432 } accept
    add rule inet watch raw ip daddr ${NAME_SERVER} udp dport 53 accept
    add rule inet watch raw iifname ${device} counter name forbidden`,
  );
  await machine.run(
    'nft',
    `add table inet watch
    add counter inet watch own
    add chain inet watch input { type filter hook input priority 0 ; }
    add rule inet watch input tcp dport ${MACHINE_PORT} counter name own`,
  );
  await writeFile(`/etc/netns/${machine.namespace}/resolv.conf`, `nameserver ${NAME_SERVER}\n`);
  const servers = Child.start(scope, process.execPath, [file('internet.js'), JSON.stringify(ZONE)], {
    namespace: internet.namespace,
  });
  await servers.line((line) => line === 'up');
  const service = Child.start(
    scope,
    process.execPath,
    [
      '-e',
      `const {createServer} = require('node:net');
       createServer((socket) => socket.end('the machine')).listen(${MACHINE_PORT}, '::', () =>
         createServer(() => {}).listen('\\0tunl-seal-test', () => console.log('up')))`,
    ],
    {namespace: machine.namespace},
  );
  await service.line((line) => line === 'up');
  const count = async (host: Host, name: string) =>
    Number(/packets (\d+)/.exec(await host.run('nft', 'list', 'counter', 'inet', 'watch', name))?.[1]);
  return {
    machine,
    asked: () => servers.lines.filter((line) => line.startsWith('asked ')).map((line) => line.slice(6)),
    forbiddenPackets: () => count(internet, 'forbidden'),
    machinePackets: () => count(machine, 'own'),
  };
}

interface Message {
  event?: string;
  answer?: number;
  value?: unknown;
  failed?: {code: string; message: string; next: string};
  id?: string;
  line?: string;
  code?: number | null;
  signal?: string | null;
  [more: string]: unknown;
}

/** As root, or as an ordinary user in the same namespace. */
export type User = 'root' | 'user';

const AS: Readonly<Record<User, readonly string[]>> = {
  root: [],
  user: ['setpriv', '--reuid=1000', '--regid=1000', '--clear-groups', '--'],
};

export class SealHost {
  readonly child: Child;
  #asked = 0;

  constructor(
    scope: Scope,
    machine: Host,
    user: User,
    {
      around = [],
      script = 'seal-host.js',
      ...options
    }: ChildOptions & {around?: readonly string[]; script?: string} = {},
  ) {
    const [command = '', ...args] = [...around, ...AS[user], process.execPath, file(script)];
    this.child = Child.start(scope, command, args, {
      ...options,
      namespace: machine.namespace,
      stdin: true,
      name: `the seal of ${user}`,
    });
  }

  async ask<T>(deed: string, about: object = {}): Promise<T> {
    const ask = ++this.#asked;
    this.child.stdin.write(`${JSON.stringify({ask, deed, ...about})}\n`);
    const {value, failed} = await this.message(({answer}) => answer === ask);
    if (failed !== undefined) throw Object.assign(new Error(failed.message), failed);
    return value as T;
  }

  open(rules: EgressRules): Promise<{ms: number; netns: string}> {
    return this.ask('open', {rules});
  }

  /** Starts a program inside. */
  async start(
    id: string,
    argv: readonly string[],
    more: {uid?: number; name?: string} = {},
  ): Promise<number> {
    return (await this.ask<{pid: number}>('run', {id, argv, ...more})).pid;
  }

  /** Runs a program inside to its end. */
  async run(
    id: string,
    argv: readonly string[],
    more: {uid?: number; name?: string} = {},
  ): Promise<{code: number | null; lines: string[]; errors: string[]}> {
    await this.start(id, argv, more);
    const {code = null} = await this.message((each) => each.event === 'end' && each.id === id);
    const all = this.messages().filter((each) => each.id === id);
    const lines = (event: string) => all.filter((each) => each.event === event).map(({line}) => line ?? '');
    return {code, lines: lines('out'), errors: lines('err')};
  }

  async message(wanted: (message: Message) => boolean): Promise<Message> {
    const line = await this.child.line((each) => each.startsWith('{') && wanted(JSON.parse(each)));
    return JSON.parse(line);
  }

  messages(): Message[] {
    return this.child.lines.filter((line) => line.startsWith('{')).map((line) => JSON.parse(line));
  }
}
