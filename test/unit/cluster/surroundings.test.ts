import {describe, expect, test} from 'vitest';
import {
  type ClusterFacts,
  hostsOf,
  memberName,
  variablesFor,
  wordsFor,
} from '../../../src/lib/cluster/surroundings.js';

const facts: ClusterFacts = {id: 'k3f9a2xc', addresses: ['fdaa:1:2::1', 'fdaa:1:2::2'], masterPort: 29_500};

describe('words', () => {
  test.each([
    ['{rank}', '1'],
    ['{size}', '2'],
    ['{addrs}', 'fdaa:1:2::1,fdaa:1:2::2'],
    ['tcp://{master}:29400', 'tcp://rank0.k3f9a2xc.tunl.internal:29400'],
    ['--node-rank={rank}/{size}', '--node-rank=1/2'],
    ['{"rank": {rank}}', '{"rank": 1}'],
    ['{RANK} {other} {}', '{RANK} {other} {}'],
    ['', ''],
  ])('%j becomes %j', (word, expected) => {
    expect(wordsFor(['program', word], 1, facts)).toEqual(['program', expected]);
  });
});

test('the name that is unique comes first, because programs give the first name of their own address to others', () => {
  const lines = hostsOf(facts).split('\n');
  expect(lines).toContain('fdaa:1:2::2 rank1.k3f9a2xc.tunl.internal rank1');
  expect(lines[0]).toBe('127.0.0.1 localhost');
});

test('variables count members, and tell each from the others', () => {
  expect(variablesFor(1, facts)).toMatchObject({
    RANK: '1',
    WORLD_SIZE: '2',
    MASTER_ADDR: memberName('k3f9a2xc', 0),
    TUNL_I6PN_ADDR: 'fdaa:1:2::2',
    NCCL_HOSTID: 'k3f9a2xc-1',
  });
  expect(variablesFor(0, facts).NCCL_HOSTID).not.toBe(variablesFor(1, facts).NCCL_HOSTID);
});
