// What a sandbox's container is like, in the forms of both engines, without an engine.

import {describe, expect, test} from 'vitest';
import {dockerContainer} from '../../../../src/lib/sandbox/engine/docker-container.js';
import type {EngineFacts} from '../../../../src/lib/sandbox/engine/facts.js';
import {commandDefaults, type PlanInput, planContainer} from '../../../../src/lib/sandbox/engine/plan.js';
import {podmanContainer} from '../../../../src/lib/sandbox/engine/podman-container.js';
import type {SandboxSpec} from '../../../../src/lib/sandbox/spec.js';

const MB = 1024 * 1024;
const SPEC: SandboxSpec = {
  id: 'sb_abcd2345',
  command: ['program', 'a-secret-argument'],
  env: {TOKEN: 'a-secret-value'},
  mounts: [{source: '/srv/data', target: '/data', readOnly: true}],
  limits: {memoryBytes: 512 * MB, cpus: 0.5, pids: 100, diskBytes: 40 * MB, openFiles: 500},
  bestEffort: false,
  egress: {kind: 'none'},
  image: 'image',
  folder: '/nowhere',
  labels: {mine: 'yes'},
};
const FACTS: EngineFacts = {
  kind: 'podman',
  version: '5.0.0',
  isRootless: false,
  hasMappedUsers: false,
  cgroupVersion: 'v2',
  holds: {memoryBytes: true, cpus: true, pids: true},
  runtime: undefined,
  defaultRuntime: 'crun',
  userIds: 0,
};
const IMAGE = {id: 'sha256:1', env: {PATH: '/image/bin'}, user: '', workdir: '/', volumes: ['/var/lib/x']};

const plan = (more: Partial<PlanInput> = {}, facts: Partial<EngineFacts> = {}) =>
  planContainer({
    spec: SPEC,
    image: IMAGE,
    node: {mounts: [{source: '/bin/node', target: '/.tunl/node', readOnly: true}], command: ['/.tunl/node']},
    own: {openFiles: 1_024, processes: 100_000},
    labels: SPEC.labels,
    outside: undefined,
    uid: 0,
    gid: 0,
    seccompFile: '/s/seccomp.json',
    ...more,
    facts: {...FACTS, ...facts},
  });

describe('both forms', () => {
  test.each([
    ['podman', podmanContainer(plan())],
    ['docker', dockerContainer(plan({}, {kind: 'docker'}), '{}')],
  ])('%s: hold nothing of the command and its environment', (_, form) => {
    expect(JSON.stringify(form)).not.toContain('a-secret');
  });

  test('podman', () => {
    expect(podmanContainer(plan())).toMatchObject({
      netns: {nsmode: 'none'},
      cap_drop: ['ALL'],
      no_new_privileges: true,
      seccomp_profile_path: '/s/seccomp.json',
      read_only_filesystem: true,
      image_volume_mode: 'ignore',
      image_pull_policy: 'never',
      log_configuration: {driver: 'none'},
      shm_size: 10 * MB,
      resource_limits: {
        memory: {limit: 512 * MB, swap: 512 * MB},
        cpu: {period: 100_000, quota: 50_000},
        pids: {limit: 116},
      },
      r_limits: [
        {type: 'NOFILE', soft: 500, hard: 500},
        {type: 'NPROC', soft: 16_384, hard: 16_384},
        {type: 'CORE', soft: 1, hard: 1},
      ],
      mounts: [
        {destination: '/tmp', type: 'tmpfs', options: expect.arrayContaining([`size=${30 * MB}`])},
        {destination: '/data', options: expect.arrayContaining(['ro'])},
        {destination: '/.tunl/node', options: expect.arrayContaining(['ro'])},
      ],
    });
  });

  test('docker', () => {
    expect(dockerContainer(plan({}, {kind: 'docker'}), '{}')).toMatchObject({
      OpenStdin: true,
      StdinOnce: true,
      Healthcheck: {Test: ['NONE']},
      HostConfig: {
        NetworkMode: 'none',
        CapDrop: ['ALL'],
        SecurityOpt: ['no-new-privileges', 'seccomp={}'],
        ReadonlyRootfs: true,
        LogConfig: {Type: 'none'},
        ShmSize: 10 * MB,
        Memory: 512 * MB,
        MemorySwap: 512 * MB,
        NanoCpus: 500_000_000,
        PidsLimit: 116,
        Tmpfs: {'/tmp': expect.stringContaining(`size=${30 * MB}`), '/var/lib/x': 'ro,size=4k'},
        Mounts: [
          {Source: '/srv/data', Target: '/data', ReadOnly: true},
          {Target: '/.tunl/node', ReadOnly: true},
        ],
      },
    });
  });
});

describe('the user inside and outside', () => {
  const who = (...input: Parameters<typeof plan>) => {
    const {user, firstId, keepsId} = plan(...input);
    return {user, firstId, keepsId};
  };

  test('podman of root: a range of ids of the sandbox’s own', () => {
    const {user, firstId} = who();
    expect(user).toBe('1000:1000');
    expect(firstId).toBeGreaterThan(500_000_000);
    expect(firstId).toBeLessThan(1_900_000_000 - 65_536);
    const other = who({spec: {...SPEC, id: 'sb_abcd2346'}});
    expect(other.firstId).not.toBe(firstId);
  });

  test('podman of root, as a given user of the host', () => {
    expect(who({outside: 1_900_000_007})).toMatchObject({user: '1000:1000', firstId: 1_899_999_007});
    expect(who({outside: 1_900_000_007, image: {...IMAGE, user: '33'}})).toMatchObject({
      user: '33:33',
      firstId: 1_899_999_974,
    });
    // A range would begin with ids of people, or with root.
    expect(who({outside: 1_000})).toMatchObject({user: '1000:1000', firstId: undefined});
  });

  test.each([
    ['the image’s own user', {image: {...IMAGE, user: 'jovyan'}}, 'jovyan'],
    ['never root', {image: {...IMAGE, user: 'root:root'}}, '1000:1000'],
    ['never root by number', {image: {...IMAGE, user: '0:5'}}, '1000:1000'],
  ])('podman: %s', (_, input, user) => {
    expect(who(input).user).toBe(user);
  });

  test('rootless podman', () => {
    const facts = {isRootless: true, userIds: 65_537};
    expect(who({uid: 1_000}, facts)).toEqual({user: '1000:1000', firstId: undefined, keepsId: false});
    expect(who({uid: 1_005, gid: 7, outside: 1_005}, facts)).toMatchObject({user: '1005:7', keepsId: true});
    expect(who({uid: 1_000}, {...facts, userIds: 1})).toMatchObject({user: '0:0'});
  });

  test('docker', () => {
    expect(Number(who({}, {kind: 'docker'}).user.split(':')[0])).toBeGreaterThan(500_000_000);
    expect(who({outside: 1_005}, {kind: 'docker'}).user).toBe('1005:1005');
    expect(who({}, {kind: 'docker', isRootless: true}).user).toBe('1000:1000');
    expect(who({image: {...IMAGE, user: 'jovyan'}}, {kind: 'docker'}).user).toBe('jovyan');
  });
});

test('the environment and working folder of commands', () => {
  expect(commandDefaults(SPEC, IMAGE)).toEqual({
    env: {PATH: '/image/bin', HOME: '/tmp/home', TOKEN: 'a-secret-value'},
    workdir: '/tmp/home',
  });
  const image = {...IMAGE, workdir: '/app', env: {HOME: '/root'}};
  expect(commandDefaults({...SPEC, env: {HOME: '/data'}}, image)).toMatchObject({
    env: {HOME: '/data'},
    workdir: '/app',
  });
});
