// Settings as events. Secrets are never shown.

import {isList, type Setting} from '../../core/settings.js';
import type {SettingEvent} from '../relay-start-events.js';
import {keyOf} from './keys.js';
import type {Resolved, Source} from './resolve.js';

export function settingEvent({name, row, value, source}: Resolved, withSource: boolean): SettingEvent {
  const isSecret = row.secretIn !== undefined;
  return {
    type: 'setting',
    name: keyOf(row) ?? name,
    value: value === undefined || isSecret ? null : shownValue(row, value),
    ...(isSecret && {secret: value === undefined ? 'missing' : 'given'}),
    ...(withSource && {source: source.from}),
    ...(withSource && source.from !== 'default' && {from: wordOf(source)}),
  };
}

/** As it is written in a file. */
export function shownValue({kind}: Setting<unknown>, value: unknown): string | readonly string[] {
  return isList(kind) ? (value as readonly unknown[]).map((item) => kind.item.show(item)) : kind.show(value);
}

function wordOf(source: Exclude<Source, {from: 'default'}>): string {
  switch (source.from) {
    case 'flag':
      return source.flag;
    case 'environment':
      return source.variable;
    case 'file':
      return `${source.path}:${source.at.line}`;
  }
}
