// What `tunl __complete` offers for a command line.

import {expect, test} from 'vitest';
import {complete, type Manifest, type Surroundings} from '../../../src/lib/cli/completion/candidates.js';

const option = (helpValue: string, more = {}) => ({
  type: 'option' as const,
  helpValue,
  summary: helpValue,
  ...more,
});
const manifest: Manifest = {
  commands: {
    expose: {
      summary: 'Expose.',
      args: {target: {multiple: true}},
      flags: {
        tcp: {type: 'boolean'},
        quiet: {type: 'boolean', char: 'q'},
        'ca-file': option('FILE'),
        follow: option('HOST', {multiple: true}),
        'log-level': option('LEVEL'),
        lan: option('[ADDRESS]'),
        net: option('NETWORK'),
        egress: option('NAME'),
        relay: option('URL'),
        secret: {type: 'boolean', hidden: true},
      },
    },
    'relay:start': {summary: 'Start.', args: {}, flags: {}},
    'relay:ca': {args: {}, flags: {}},
    'egress:list': {args: {}, flags: {context: option('NAME')}},
    'egress:forward': {
      args: {destination: {multiple: true}},
      flags: {via: option('NAME'), relay: option('URL'), context: option('NAME')},
    },
    'relay:config': {args: {}, flags: {egress: option('NAME=ADDRESSES')}},
    'net:forward': {args: {network: {}, member: {}}, flags: {relay: option('URL')}},
    'cluster:join': {args: {name: {}}, flags: {size: option('N')}},
    remove: {args: {id: {}, name: {}}, flags: {}},
    logs: {args: {id: {}}, flags: {}},
    completion: {args: {shell: {options: ['bash', 'zsh']}}, flags: {}},
    'sandbox:logs': {args: {id: {}}, flags: {}},
    'sandbox:stop': {args: {id: {multiple: true}}, flags: {}},
    'sandbox:cp': {args: {from: {}, to: {}}, flags: {}},
    internal: {hidden: true, args: {}, flags: {}},
  },
};
const around: Surroundings = {
  ids: async (ended) => [{value: 'abc234'}, ...(ended ? [{value: 'old567'}] : [])],
  sandboxes: async (ended) => [{value: 'box'}, ...(ended ? [{value: 'sb_oldoldol'}] : [])],
  tunnels: async (id) => [{value: `shop-of-${id}`}],
  ports: async () => [{value: '3000'}, {value: '8000'}],
  contexts: async () => [{value: 't.example.com'}],
  egresses: async (given) => [{value: `egress-of-${given.relay ?? given.context ?? 'none'}`}],
  networks: async (scope) => [{value: `${scope}-lab`}],
  members: async (network, given) => [{value: `trainer-in-${network}-of-${given.relay ?? 'none'}`}],
};

async function offers(...words: string[]): Promise<string[]> {
  const {candidates, files} = await complete(words, manifest, around);
  return [...candidates.map(({value}) => value), ...(files ? [':files'] : [])];
}

test('commands, and the second word of a topic', async () => {
  expect(await offers('')).toEqual([
    ...['expose', 'relay', 'egress', 'net', 'cluster', 'remove', 'logs', 'completion', 'sandbox'],
  ]);
  expect(await offers('re')).toEqual(['relay', 'remove']);
  expect(await offers('relay', '')).toEqual(['start', 'ca', 'config']);
  expect(await offers('nothing', '')).toEqual([]);
});

test('flags that were not given, and repeatable ones', async () => {
  expect(await offers('expose', '--tcp', '--follow', 'a', '--')).toEqual([
    ...['--quiet', '--ca-file', '--follow', '--log-level', '--lan'],
    ...['--net', '--egress', '--relay', '--help'],
  ]);
  expect(await offers('expose', '--c')).toEqual(['--ca-file']);
});

test('values of flags: as the next word, after `=`, and as bash splits them', async () => {
  expect(await offers('expose', '--log-level', 'd')).toEqual(['debug']);
  expect(await offers('expose', '--log-level', '=', 'd')).toEqual(['debug']);
  expect(await offers('expose', '--log-level', '=')).toHaveLength(5);
  expect(await offers('expose', '--ca-file', '')).toEqual([':files']);
  expect(await offers('expose', '--follow', '')).toEqual([]);
});

test('a value that may be left out is never the next word', async () => {
  expect(await offers('expose', '--lan', '')).toEqual(['3000', '8000', ':files']);
  expect(await offers('expose', '--lan', '--ca')).toEqual(['--ca-file']);
});

test('arguments: ports, IDs, names of tunnels, choices', async () => {
  expect(await offers('expose', '80')).toEqual(['8000', ':files']);
  expect(await offers('expose', '--ca-file', 'x', '8000', '3')).toEqual(['3000', ':files']);
  expect(await offers('remove', '')).toEqual(['abc234']);
  expect(await offers('remove', 'abc234', '')).toEqual(['shop-of-abc234']);
  expect(await offers('remove', 'abc234', 'shop', '')).toEqual([]);
  expect(await offers('logs', '')).toEqual(['abc234', 'old567']);
  expect(await offers('completion', 'z')).toEqual(['zsh']);
});

test('after `--` come the words of another program', async () => {
  expect(await offers('expose', '--', 'npm', '--ver')).toEqual([':files']);
});

test('names of the language are no commands and no flags', async () => {
  expect(await offers('constructor', '')).toEqual([]);
  expect(await offers('expose', '--constructor', '=', '')).toEqual([]);
});

test('sandboxes, by name or id, and their paths', async () => {
  expect(await offers('sandbox', 'logs', '')).toEqual(['box', 'sb_oldoldol']);
  expect(await offers('sandbox', 'stop', 'box', '')).toEqual(['box']);
  expect(await offers('sandbox', 'cp', 'b')).toEqual(['box:', ':files']);
});

test('what the relay knows: the flags in the line say which relay', async () => {
  expect(await offers('egress', 'forward', '--via', '')).toEqual(['egress-of-none']);
  expect(await offers('egress', 'forward', '--relay', 'https://a', '--via', 'eg')).toEqual([
    'egress-of-https://a',
  ]);
  expect(await offers('egress', 'forward', '--context=b', '--via', '=', '')).toEqual(['egress-of-b']);
  expect(await offers('egress', 'forward', '--context', '=', 'c', '--via', '')).toEqual(['egress-of-c']);
  expect(await offers('expose', '--egress', '')).toEqual(['egress-of-none']);
  expect(await offers('relay', 'config', '--egress', '')).toEqual([]);
  expect(await offers('egress', 'list', '--context', '')).toEqual(['t.example.com']);
});

test('networks, clusters, and members, after which comes a port', async () => {
  expect(await offers('net', 'forward', '')).toEqual(['net-lab']);
  expect(await offers('net', 'forward', 'lab', 'tr')).toEqual(['trainer-in-lab-of-none:']);
  expect(await offers('net', 'forward', '--relay', 'https://a', 'lab', '')).toEqual([
    'trainer-in-lab-of-https://a:',
  ]);
  expect(await offers('expose', '--net', 'n')).toEqual(['net-lab']);
  expect(await offers('expose', '--net', 'lab', '')).toEqual(['trainer-in-lab-of-none:']);
  expect(await offers('cluster', 'join', '')).toEqual(['cluster-lab']);
  expect(await offers('cluster', 'join', 'train', '')).toEqual([]);
});
