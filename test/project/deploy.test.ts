// The files in deploy/ start the relay with flags that exist, as a user without rights, and with enough time to end.

import {readFileSync} from 'node:fs';
import {expect, test} from 'vitest';
import {ROOT} from './source-files.js';

const manifest = JSON.parse(readFileSync(`${ROOT}/oclif.manifest.json`, 'utf8'));
const known = Object.keys(manifest.commands['relay:start'].flags).map((name) => `--${name}`);

const read = (path: string) => readFileSync(`${ROOT}/${path}`, 'utf8');

/** The group of the expression in the file. */
const found = (path: string, expression: RegExp) => expression.exec(read(path))?.[1] ?? '';

test.each([
  ['the container in its README', 'deploy/README.md', /^ {2}tunl (--domain [\s\S]*?)^```/m],
  ['compose', 'deploy/compose.yaml', /^ {4}command:\n((?: {6}- .*\n)+)/m],
  ['Kubernetes', 'deploy/kubernetes.yaml', /^ {10}args:\n((?: {12}[-#] .*\n)+)/m],
])('%s: flags of the relay', (_name, path, expression) => {
  const flags = found(path, expression).match(/--[a-z-]+/g) ?? [];
  expect(flags.length).toBeGreaterThan(5);
  expect(flags.filter((flag) => !known.includes(flag))).toEqual([]);
});

test('the systemd unit: settings of the relay', () => {
  const unit = read('deploy/tunl-relay@.service');
  const [, start = ''] = /^ExecStart=.* tunl relay start (.*)$/m.exec(unit) ?? [];
  const variables = [...unit.matchAll(/^Environment=TUNL_RELAY_([A-Z_]+)=/gm)].map(([, name = '']) => name);
  // An administrator replaces a variable, and cannot replace a flag.
  expect(start.match(/--[a-z-]+/g)).toEqual(['--domain', '--reuse-port']);
  expect(variables.length).toBeGreaterThan(4);
  const named = variables.map((name) => `--${name.toLowerCase().replaceAll('_', '-')}`);
  expect(named.filter((flag) => !known.includes(flag))).toEqual([]);
});

test('the systemd unit lets the relay ask for the addresses of its machine', () => {
  expect(found('deploy/tunl-relay@.service', /^RestrictAddressFamilies=(.*)$/m).split(' ')).toContain(
    'AF_NETLINK',
  );
});

test('Kubernetes: applying the file leaves the secrets of the operator alone', () => {
  expect(read('deploy/kubernetes.yaml')).not.toContain('kind: Secret');
});

test('the container starts the relay, with the Node that the project is tested with', () => {
  const containerfile = read('deploy/Containerfile');
  expect(containerfile).toContain('ENTRYPOINT ["tunl", "relay", "start"]');
  const {devDependencies} = JSON.parse(read('package.json'));
  expect(containerfile).toContain(`/node:${devDependencies.node}-`);
});

test('the ports that containers listen on are those of the image', () => {
  const [, ports = ''] = /^EXPOSE (.*)$/m.exec(read('deploy/Containerfile')) ?? [];
  expect(ports.split(' ')).toEqual(['8443', '8080']);
  for (const path of ['deploy/README.md', 'deploy/compose.yaml', 'deploy/kubernetes.yaml']) {
    for (const port of ports.split(' '))
      expect(read(path), path).toMatch(new RegExp(`0\\.0\\.0\\.0:${port}`));
  }
});

test('nothing runs as root', () => {
  expect(read('deploy/Containerfile')).toMatch(/^USER 1000:1000$/m);
  expect(read('deploy/tunl-relay@.service')).toMatch(/^User=tunl$/m);
  expect(read('deploy/kubernetes.yaml')).toMatch(/^ +runAsNonRoot: true\n +runAsUser: 1000$/m);
  for (const path of ['deploy/compose.yaml', 'deploy/kubernetes.yaml'])
    expect(read(path), path).toMatch(/drop: ?\[ALL\]/);
});

test('open connections get at least as much time as the relay gives them', () => {
  const drainMs = Number(
    /\((\d+)s\)/.exec(manifest.commands['relay:start'].flags['drain-timeout'].summary)?.[1],
  );
  expect(drainMs).toBe(30);
  const seconds = [
    found('deploy/tunl-relay@.service', /^TimeoutStopSec=(\d+)$/m),
    found('deploy/compose.yaml', /^ +stop_grace_period: (\d+)s$/m),
    found('deploy/kubernetes.yaml', /^ +terminationGracePeriodSeconds: (\d+)$/m),
    found('deploy/README.md', /--stop-timeout (\d+)/),
  ];
  for (const each of seconds) expect(Number(each)).toBeGreaterThan(drainMs);
});

test('Kubernetes asks for what the metrics listener answers', () => {
  const text = read('deploy/kubernetes.yaml');
  const asked = (name: string) =>
    new RegExp(`^ +${name}:\n +httpGet: \\{path: '?([^',]+)'?, port: metrics\\}$`, 'm').exec(text)?.[1];
  expect(['startupProbe', 'livenessProbe', 'readinessProbe'].map(asked)).toEqual([
    ...['/livez', '/livez'],
    // The relay's own probe arrives only when the pod is ready.
    '/readyz?exclude=probe',
  ]);
  expect(text).toMatch(/^ +- --metrics-listen=0\.0\.0\.0:(\d+)$[\s\S]*\{name: metrics, containerPort: \1\}/m);
});
