// Settings as lines of YAML, which a relay can read again.

import type {SettingEvent} from '../relay-start-events.js';

/** `listen: 0.0.0.0:443  # relay.yaml:3`; a setting without a value is a comment. */
export function settingLine({name, value, secret, source, from}: SettingEvent): string {
  const nothing = `# ${name}: ${secret === 'given' ? '(not shown)' : '(none)'}`;
  const line = value === null ? nothing : `${name}: ${yamlValue(value)}`;
  return source === undefined ? line : `${line}  # ${from ?? source}`;
}

export function yamlValue(value: string | readonly string[]): string {
  return typeof value === 'string' ? yamlText(value) : `[${value.map(yamlText).join(', ')}]`;
}

/** JSON is YAML as well. */
function yamlText(text: string): string {
  const isPlain = /^[\w./][\w./~:+@-]*$/.test(text) && !text.endsWith(':') && !/^null$/i.test(text);
  return isPlain ? text : JSON.stringify(text);
}
