// A seal whose connections are dialled elsewhere: every destination passes, by the name that the program has used.
import {connect, createServer, type Socket} from 'node:net';
import {Duplex} from 'node:stream';
import {describe, expect} from 'vitest';
import {TunlError} from '../../../src/lib/core/errors.js';
import {Resolver} from '../../../src/lib/net/name-lookup.js';
import {NameTable} from '../../../src/lib/seal/name-table.js';
import {type OuterTarget, Passage} from '../../../src/lib/seal/passage.js';
import {Policy} from '../../../src/lib/seal/policy.js';
import {Refusals} from '../../../src/lib/seal/refusals.js';
import {Answers} from '../../../src/lib/seal/resolver-answers.js';
import {checkSealRules} from '../../../src/lib/seal/rules.js';
import {test} from '../../helpers/test.js';

const policy = new Policy({kind: 'elsewhere'});
const A = 1;
const AAAA = 28;

function question(name: string, type: number): Buffer {
  const labels = name.split('.').flatMap((label) => [Buffer.from([label.length]), Buffer.from(label)]);
  return Buffer.concat([
    Buffer.from([0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0]),
    ...labels,
    Buffer.from([0, 0, type, 0, 1]),
  ]);
}

/** The code of an answer and how many addresses it has. */
const facts = (answer: Buffer | undefined) => [(answer?.[3] ?? 0) & 15, answer?.readUInt16BE(6)];

describe('look-ups', () => {
  test.each([
    ['both.example', A, [0, 1]],
    ['both.example', AAAA, [0, 1]],
    // The far side has no IPv6: a program must not choose it.
    ['four.example', A, [0, 1]],
    ['four.example', AAAA, [0, 0]],
    ['six.example', A, [0, 0]],
    ['private.example', A, [0, 1]],
    ['missing.example', A, [3, 0]],
    ['silent.example', A, [2, 0]],
    ['localhost', A, [0, 1]],
  ] as const)('%s, type %i: %j', async (name, type, expected) => {
    const known: Record<string, string[]> = {
      'both.example': ['192.0.2.1', '2001:db8::1'],
      'four.example': ['192.0.2.1'],
      'six.example': ['2001:db8::1'],
      'private.example': ['10.0.0.1'],
      'missing.example': [],
    };
    const answers = new Answers({
      policy: () => policy,
      names: new NameTable(),
      resolver: new Resolver(async (asked) => known[asked] ?? Promise.reject(new Error('no answer'))),
      refusals: new Refusals(() => {}),
      ownAddresses: {find: () => new Set()},
    });
    expect(facts(await answers.to(question(name, type)))).toEqual(expected);
  });
});

describe('connections', () => {
  test.for([
    {kind: 'name', name: 'a.example', port: 443},
    {kind: 'address', address: '10.0.0.1', port: 80},
    {kind: 'address', address: '169.254.169.254', port: 80},
    {kind: 'address', address: 'fd00::1', port: 443},
  ] as const)('%j is dialled as it is, without a look at its bytes', async (target, {scope}) => {
    const server = createServer({allowHalfOpen: true, pauseOnConnect: true});
    const port = await scope.listen(server);
    const accepted = new Promise<Socket>((resolve) => server.once('connection', resolve));
    const program = connect({port, host: '127.0.0.1'}).on('error', () => {});
    const said = new Promise((resolve) => program.once('data', (piece) => resolve(String(piece))));
    const dialled: OuterTarget[] = [];
    const done = Promise.withResolvers<void>();
    const passage = new Passage({
      socket: await accepted,
      target,
      policy: () => policy,
      resolver: new Resolver(async () => expect.fail('the far side looks names up')),
      dialOut: async (to) => {
        dialled.push(to);
        return Duplex.from([Buffer.from('no TLS')]);
      },
      onRefused: () => expect.fail('it must not be refused'),
      onUnreachable: () => {},
      onJoined: () => {},
      onDone: done.resolve,
    });
    void passage.run();
    expect(await said).toBe('no TLS');
    program.destroy();
    await done.promise;
    expect(dialled).toEqual([target]);
  });
});

test('nobody gets such rules without somebody who dials', () => {
  expect(() => checkSealRules({kind: 'elsewhere'}, {hasDialler: false})).toThrow(TunlError);
  expect(checkSealRules({kind: 'elsewhere'}, {hasDialler: true})).toEqual({kind: 'elsewhere'});
});
