// docs/json-events.md has every event with every field, and its examples are real events.

import {readFileSync} from 'node:fs';
import {describe, expect, test} from 'vitest';
import {eventSchemas, parseEvent} from './event-schema.js';

const doc = readFileSync(new URL('../../docs/json-events.md', import.meta.url), 'utf8');
const sections = new Map(
  doc
    .split(/^## /m)
    .slice(1)
    .map((section) => [/^`([\w-]+)`/.exec(section)?.[1] ?? '', section]),
);

test('every event has a section, and every section an event', () => {
  expect([...sections.keys()].sort()).toEqual(Object.keys(eventSchemas).sort());
});

describe.each(Object.entries(eventSchemas))('%s', (type, schema) => {
  const section = sections.get(type) ?? '';
  const examples = /```json\n([\s\S]*?)```/.exec(section)?.[1]?.trim().split('\n') ?? [];

  test('has examples that match the schema', () => {
    expect(examples.length).toBeGreaterThan(0);
    for (const example of examples) expect(parseEvent(example).type).toBe(type);
  });

  test('has a row for every field, and no other rows', () => {
    const documented = [...section.matchAll(/^\| `([\w.]+)` \| ([^|]*)\|/gm)].map(
      ([, name = '', kind = '']) => ({
        name,
        optional: kind.trim().endsWith('?'),
      }),
    );
    expect(documented).toEqual(fields(schema.entries));
  });

  test('shows every field in one of the examples', () => {
    const shown = new Set(examples.flatMap((example) => paths(JSON.parse(example))));
    expect(fields(schema.entries).map(({name}) => name)).toEqual(
      fields(schema.entries)
        .map(({name}) => name)
        .filter((name) => shown.has(name)),
    );
  });
});

/** The part of a schema's entries that this test needs. */
interface Entry {
  type: string;
  wrapped?: Entry;
  entries?: Record<string, Entry>;
}

/** Names of the fields in order. Fields of `relay` have separate rows; those of a host and port do not. */
function fields(entries: object, prefix = ''): {name: string; optional: boolean}[] {
  return Object.entries(entries as Record<string, Entry>)
    .filter(([name]) => name !== 'type')
    .flatMap(([name, entry]) => {
      const inner = entry.entries;
      if (inner && !('host' in inner)) return fields(inner, `${prefix}${name}.`);
      return [{name: prefix + name, optional: entry.type === 'exact_optional'}];
    });
}

function paths(value: object, prefix = ''): string[] {
  return Object.entries(value).flatMap(([name, inner]) => [
    prefix + name,
    ...(typeof inner === 'object' && inner !== null ? paths(inner, `${prefix}${name}.`) : []),
  ]);
}
