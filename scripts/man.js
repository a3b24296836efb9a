// Writes dist/man/tunl.1 from the manifest and the table of exit codes in docs/errors.md, so it has every command and flag that the help has.
import {mkdirSync, readFileSync, writeFileSync} from 'node:fs';
import {fileURLToPath} from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const {commands} = JSON.parse(readFileSync(`${root}oclif.manifest.json`, 'utf8'));
const {version, oclif} = JSON.parse(readFileSync(`${root}package.json`, 'utf8'));

/** A line must not begin with a request, and a hyphen must stay the one that can be copied. */
const text = (words) =>
  words
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replace(/^(?=[.'])/gm, '\\&');
const bold = (words) => `\\fB${text(words)}\\fR`;
const italic = (words) => `\\fI${text(words)}\\fR`;
const filled = (words) => text(words.replaceAll('<%= config.bin %>', 'tunl'));

function flagLine([name, {char, type, helpValue = 'VALUE', summary = '', env}]) {
  const short = char === undefined ? '' : `${bold(`-${char}`)}, `;
  const [, optional] = /^\[(.*)\]$/.exec(helpValue) ?? [];
  const given = optional === undefined ? `=${italic(helpValue)}` : `[=${italic(optional)}]`;
  const value = type === 'option' ? given : '';
  const variable = env === undefined ? '' : ` Environment: ${env}.`;
  return `.TP\n${short}${bold(`--${name}`)}${value}\n${text(summary + variable)}`;
}

const shown = (flags) => Object.entries(flags).filter(([, {hidden}]) => !hidden);

/** The same in every command. */
const common = new Set(
  shown(commands.expose.flags).flatMap(([name]) =>
    ['quiet', 'plain', 'json', 'log-level'].includes(name) ? [name] : [],
  ),
);

function commandPart([id, {summary = '', usage = [], args, flags, examples = []}]) {
  const name = id.replaceAll(':', ' ');
  const usages = [usage].flat().map((line) => `.br\n${bold('tunl')} ${filled(line)}`);
  const given = Object.entries(args).map(
    ([arg, {description = ''}]) => `.TP\n${italic(arg.toUpperCase())}\n${text(description)}`,
  );
  const own = shown(flags).filter(([flag]) => !common.has(flag));
  const tried = examples.flatMap((each) => each.split('\n')).map((line) => filled(line.replace(/^\$ /, '')));
  return [
    `.SS tunl ${text(name)}`,
    text(summary),
    ...usages,
    ...given,
    ...own.map(flagLine),
    ...(tried.length > 0 ? ['.PP', 'Examples:', '.PP', '.nf', '.RS', ...tried, '.RE', '.fi'] : []),
  ].join('\n');
}

/** The table of docs/errors.md. */
const exitCodes = [...readFileSync(`${root}docs/errors.md`, 'utf8').matchAll(/^\| (\d+) \| (.*) \|$/gm)].map(
  ([, code, meaning]) => [code, meaning],
);

const all = Object.entries(commands)
  .filter(([, {hidden}]) => !hidden)
  .sort(([a], [b]) => (a === 'expose' ? -1 : b === 'expose' ? 1 : a.localeCompare(b)));

const page = [
  `.TH TUNL 1 "" "tunl ${text(version)}" "User Commands"`,
  '.SH NAME',
  'tunl \\- a public address for a local port, through a relay that anyone can run',
  '.SH SYNOPSIS',
  `${bold('tunl')} ${italic('COMMAND')} [${italic('FLAGS')}]`,
  '.SH DESCRIPTION',
  text(oclif.description),
  'Bytes arrive as they were sent.',
  'The address is printed on stdout as soon as visitors can come; everything else goes to stderr.',
  '.PP',
  `${bold('tunl COMMAND --help')} shows the help of a command.`,
  '.SH COMMANDS',
  ...all.map(commandPart),
  '.SH FLAGS OF EVERY COMMAND WITH OUTPUT',
  ...shown(commands.expose.flags)
    .filter(([name]) => common.has(name))
    .map(flagLine),
  '.SH EXIT STATUS',
  ...exitCodes.map(([code, meaning]) => `.TP\n${bold(code)}\n${text(meaning)}`),
  '.SH ENVIRONMENT',
  '.TP',
  bold('TUNL_TOKEN'),
  text('The token of the relay, unless --token-file is given.'),
  '.TP',
  bold('TUNL_STATE_DIR'),
  'The folder for identity, names, certificates and what runs in the background.',
  '.SH SEE ALSO',
  text(
    'The documentation is in the folder docs of the package: errors, JSON events, recipes, a relay of your own.',
  ),
  '',
].join('\n');

mkdirSync(`${root}dist/man`, {recursive: true});
writeFileSync(`${root}dist/man/tunl.1`, page);
