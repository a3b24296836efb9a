// The settings of a relay in words, from the table: an example file, and the tables of docs/relay-config.md.

import {isList, type Kind, type Setting} from '../../core/settings.js';
import {CONFIG_SETTINGS} from '../relay-flags.js';
import {keyOf} from './keys.js';
import {shownValue} from './shown.js';
import {yamlValue} from './yaml-line.js';

interface Described {
  key: string;
  kind: Kind<unknown>;
  help: string;
  /** In words, or as it is written. */
  otherwise: string;
  /** A value that shows the form. */
  example: string;
  reloads: boolean;
}

const HEADINGS: Readonly<Record<string, string>> = {
  general: 'Names and ports',
  'certificate and token': 'Certificate and token',
  time: 'Times',
  identity: 'Identities of an issuer (OpenID Connect)',
  limit: 'Limits',
  abuse: 'Abuse',
  output: 'Output',
};

/** Values for placeholders that have no default. */
const EXAMPLES: Readonly<Record<string, string>> = {
  'FIRST-LAST': '20000-20999',
  'HOST:PORT': '0.0.0.0:80',
  HOST: '192.0.2.1',
  PORT: '443',
  URL: 'https://r1.example.net:8443',
  RANGE: '10.0.0.0/8',
  FILE: 'file.pem',
  TIME: '10m',
  NUMBER: '4',
  BYTES: '10M',
  SIZE: '512MiB',
  CONTACT: 'abuse@example.net',
  LEVEL: 'info',
};

/** By heading, in the order of the table. */
function described(): Map<string, Described[]> {
  const groups = new Map<string, Described[]>();
  const rows: readonly Setting<unknown>[] = Object.values(CONFIG_SETTINGS);
  for (const row of rows) {
    const key = keyOf(row);
    if (key === undefined) continue;
    const heading = HEADINGS[row.group ?? 'general'] ?? row.group ?? '';
    groups.set(heading, [...(groups.get(heading) ?? []), describe(key, row)]);
  }
  return groups;
}

function describe(key: string, row: Setting<unknown>): Described {
  const {kind, help = '', default: otherwise, defaultText, reloads} = row;
  const value = typeof otherwise === 'function' ? undefined : otherwise;
  const isEmpty = value === undefined || (Array.isArray(value) && value.length === 0);
  const shown = isEmpty ? undefined : yamlValue(shownValue(row, value));
  const written = row.example ?? EXAMPLES[kind.placeholder] ?? kind.placeholder;
  const example = yamlValue(isList(kind) ? [written] : written);
  return {
    key,
    kind,
    help,
    otherwise: defaultText ?? shown ?? 'none',
    example: (defaultText === undefined ? shown : undefined) ?? example,
    reloads: reloads !== undefined && reloads !== false,
  };
}

/** A file in which every setting is a comment. */
export function exampleFile(): string {
  const parts = [...described()].map(([heading, rows]) => {
    const settings = rows.map(({key, help, otherwise, example}) => {
      const is = otherwise === 'none' || otherwise === example ? '' : ` Default: ${otherwise}.`;
      return `# ${help}${is}\n# ${key}: ${example}\n`;
    });
    return `# ── ${heading} ──\n\n${settings.join('\n')}`;
  });
  return `# A relay: tunl relay start --config relay.yaml
# Remove the # from what you change, then: tunl relay check relay.yaml
# Paths are relative to the folder of this file. docs/relay-config.md is the reference.

${parts.join('\n')}`;
}

const cell = (text: string) => text.replaceAll('|', '\\|');

/** The tables of the reference page. */
export function referenceTables(): string {
  const tables = [...described()].map(([heading, rows]) => {
    const lines = rows.map(({key, kind, help, otherwise, reloads}) => {
      const form =
        kind.placeholder === '' ? '`true`, `false`' : `${kind.placeholder}${isList(kind) ? ', a list' : ''}`;
      const cells = [`\`${key}\``, form, cell(otherwise), reloads ? 'yes' : 'no', cell(help)];
      return `| ${cells.join(' | ')} |`;
    });
    return [
      `## ${heading}`,
      '',
      '| key | value | default | reload | meaning |',
      '|---|---|---|---|---|',
      ...lines,
      '',
    ].join('\n');
  });
  return tables.join('\n');
}

const BEGIN = '<!-- The tables below are made by scripts/relay-config.js. -->\n';

/** The page with new tables, which are at its end. */
export function referencePage(page: string): string {
  const [head = ''] = page.split(BEGIN);
  return `${head}${BEGIN}\n${referenceTables()}`;
}
