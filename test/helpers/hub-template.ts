// A template whose program does nothing: the sandboxes are in memory.

import {commandProgram} from '../../src/lib/hub/programs/command.js';
import type {Template} from '../../src/lib/hub/template.js';

export const hubTemplate = (more: Partial<Template> = {}): Template => ({
  name: 'web',
  title: 'Web',
  program: commandProgram({command: ['serve', '{port}'], path: '/?token={secret}', readyPath: '/'}),
  port: 8080,
  backend: 'auto',
  limits: {},
  bestEffort: false,
  egress: {kind: 'none'},
  mounts: [],
  env: {},
  home: 'ephemeral',
  timeoutMs: 0,
  maxLifetimeMs: 0,
  idleMs: 0,
  readyTimeoutMs: 10_000,
  restart: 'never',
  ...more,
});
