// hub.yaml: the settings of a hub, and its templates, with every mistake at its place.

import {type OptionsOf, type SettingsOf, settle, type Table} from '../../core/settings.js';
import {makeTemplate} from '../../hub/make-template.js';
import {HUB_SETTINGS, TEMPLATE_SETTINGS} from '../../hub/settings-table.js';
import type {Template} from '../../hub/template.js';
import {readConfigText} from './config-text.js';
import {type Mistake, mistakeOf} from './mistake.js';
import {readSettingsEntries} from './settings-file.js';
import {readEntries, type Section} from './yaml-entries.js';

const PAGE = 'See docs/hub.md.';

export interface HubConfig {
  settings: SettingsOf<typeof HUB_SETTINGS>;
  templates: readonly Template[];
  mistakes: readonly Mistake[];
}

/** @throws TunlError FILE_UNREADABLE; CONFIG_SYNTAX when it is no text file */
export async function readHubConfig(path: string, env: NodeJS.ProcessEnv = process.env): Promise<HubConfig> {
  const {entries, sections, mistakes} = await readEntries(await readConfigText(path), ['templates']);
  const own = readSettingsEntries(entries, path, HUB_SETTINGS, PAGE);
  const all: Mistake[] = [...mistakes, ...own.mistakes];
  const templates: Template[] = [];
  for (const section of sections) {
    // A mistake of the whole group was told with it.
    if (mistakes.some(({at}) => at?.line === section.at.line)) continue;
    const template = await readTemplate(section, path, all);
    if (template !== undefined) templates.push(template);
  }
  if (sections.length === 0 && all.length === 0) {
    all.push({
      at: undefined,
      code: 'CONFIG_VALUE',
      message: 'There is no template.',
      next: 'Add one: `templates: {notebook: {program: jupyter}}`.',
    });
  }
  return {
    settings: settle(HUB_SETTINGS, optionsOf<typeof HUB_SETTINGS>(own.values), env),
    templates,
    mistakes: all,
  };
}

async function readTemplate(
  {name, at, entries}: Section,
  path: string,
  mistakes: Mistake[],
): Promise<Template | undefined> {
  const read = readSettingsEntries(entries, path, TEMPLATE_SETTINGS, PAGE);
  mistakes.push(...read.mistakes);
  if (read.mistakes.length > 0) return undefined;
  try {
    const options = optionsOf<typeof TEMPLATE_SETTINGS>(read.values);
    return await makeTemplate(name, settle(TEMPLATE_SETTINGS, options, {}));
  } catch (error) {
    mistakes.push(mistakeOf(error, {at, label: name}));
    return undefined;
  }
}

function optionsOf<T extends Table>(values: ReadonlyMap<string, {value: unknown}>): OptionsOf<T> {
  return Object.fromEntries([...values].map(([name, {value}]) => [name, value])) as OptionsOf<T>;
}
