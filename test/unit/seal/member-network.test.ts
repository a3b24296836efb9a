// The names and addresses of a private network, as its resolver and /etc/hosts give them.
import {describe, expect, test} from 'vitest';
import {Resolver} from '../../../src/lib/net/name-lookup.js';
import {RCODE, readQuestion, TYPE_A, TYPE_AAAA} from '../../../src/lib/seal/dns-message.js';
import {ruleset} from '../../../src/lib/seal/doorway.js';
import {MemberNames} from '../../../src/lib/seal/member-network.js';
import {NameTable} from '../../../src/lib/seal/name-table.js';
import {Policy} from '../../../src/lib/seal/policy.js';
import {Refusals} from '../../../src/lib/seal/refusals.js';
import {Answers} from '../../../src/lib/seal/resolver-answers.js';
import type {SealRules} from '../../../src/lib/seal/rules.js';

const OWN = 'fdaa:5137:3ebf:0:0:0:0:2';

function network(): MemberNames {
  const names = new MemberNames({address: OWN, name: 'worker', domain: 'lab.tunl.internal'});
  names.setHosts([{address: 'fdaa:5137:3ebf::1', names: ['Trainer.lab.tunl.internal', 'trainer']}]);
  return names;
}

test.each([
  ['fdaa:5137:3ebf::1', true],
  ['fdaa:5137:3ebf:ffff::9', true],
  ['fdaa:5137:3ebe::1', false],
  ['fdaa:5137::3ebf:1', false],
  ['::1', false],
  ['10.0.0.1', false],
  ['::ffff:253.170.81.55', false],
  ['trainer', false],
])('%s is of the network: %s', (address, isOfNetwork) => {
  expect(network().has(address)).toBe(isOfNetwork);
});

test.each([
  ['trainer', 'fdaa:5137:3ebf::1'],
  ['trainer.lab.tunl.internal', 'fdaa:5137:3ebf::1'],
  ['worker', 'fdaa:5137:3ebf::2'],
  ['i6pn.tunl.internal', 'fdaa:5137:3ebf::2'],
  ['i6pn.modal.local', 'fdaa:5137:3ebf::2'],
  ['other.lab.tunl.internal', 'none'],
  ['trainer.foreign.tunl.internal', 'none'],
  ['tunl.internal', 'none'],
  ['nottunl.internal', undefined],
  ['example.com', undefined],
  ['toString', undefined],
])('%s is %s', (name, address) => {
  expect(network().addressOf(name)).toBe(address);
});

test('the unique name comes before the names that every member has', () => {
  const own = network().ownLines.filter((line) => line.startsWith('fdaa'));
  expect(own).toEqual([
    'fdaa:5137:3ebf::2 worker.lab.tunl.internal worker',
    'fdaa:5137:3ebf::2 i6pn.tunl.internal i6pn.modal.local',
  ]);
});

test('connections to the own address stay, and those to other members go to the seal', () => {
  const text = ruleset({ownAddress: 'fdaa::2'});
  const destination = text.slice(text.indexOf('chain destination'), text.indexOf('chain source'));
  expect(destination.indexOf('ip6 daddr fdaa::2 accept')).toBeGreaterThan(0);
  expect(destination.indexOf('ip6 daddr fdaa::2 accept')).toBeLessThan(destination.indexOf('udp dport 53'));
  expect(ruleset()).not.toContain('fdaa');
});

describe('the resolver', () => {
  function answers(rules: SealRules, asked: string[] = []): Answers {
    return new Answers({
      policy: () => new Policy(rules),
      names: new NameTable(),
      resolver: new Resolver(async (name) => {
        asked.push(name);
        return ['203.0.113.1'];
      }),
      refusals: new Refusals(() => {}),
      ownAddresses: {find: () => new Set()},
      members: network(),
    });
  }

  function question(name: string, type: number): Buffer {
    const labels = name
      .split('.')
      .map((label) => Buffer.from(`${String.fromCharCode(label.length)}${label}`));
    const header = Buffer.from([0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    const message = Buffer.concat([header, ...labels, Buffer.from([0, 0, type, 0, 1])]);
    expect(readQuestion(message)).toHaveProperty('question');
    return message;
  }

  const read = (answer: Buffer | undefined) => ({
    rcode: (answer?.[3] ?? 0) & 15,
    count: answer?.readUInt16BE(6),
  });

  test.each([{kind: 'none'}, {kind: 'internet'}] as const)('knows members under %j', async (rules) => {
    const asked: string[] = [];
    const resolver = answers(rules, asked);
    const ask = async (name: string, type: number) => read(await resolver.to(question(name, type)));
    expect(await ask('trainer', TYPE_AAAA)).toEqual({rcode: RCODE.ok, count: 1});
    expect(await ask('TRAINER.lab.tunl.internal', TYPE_AAAA)).toEqual({rcode: RCODE.ok, count: 1});
    expect(await ask('trainer', TYPE_A)).toEqual({rcode: RCODE.ok, count: 0});
    expect(await ask('gone.lab.tunl.internal', TYPE_AAAA)).toEqual({rcode: RCODE.noName, count: 0});
    // Names of the network are no secret of the machine's name servers.
    expect(asked).toEqual([]);
  });
});
