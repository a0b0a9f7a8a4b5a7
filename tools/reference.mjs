/**
 * docs/reference: errors, config, metrics and commands, made from the code that they describe, so that they cannot differ from it.
 *
 *     npm run reference            after the build; a test fails while a page differs (reference.test.mjs)
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { format, resolveConfig } from 'prettier';
import { ERROR_ROOMS, ERRORS, ROOM_NOTES, SEVERITIES } from '@lockstep/base';
import { lockstepProgram } from '@lockstep/cli/program';
import { describeConfig } from '@lockstep/config';
import { describeMetrics } from '@lockstep/coordinator';

export const FOLDER = join(import.meta.dirname, '..', 'docs', 'reference');

const MADE = '<!-- Made by `npm run reference`. Change the code that it is made of, not this page. -->';

/** @param {string} text */
const cell = (text) => text.replaceAll('|', '\\|').replaceAll('\n', ' ').replaceAll('<', '&lt;');

/** @param {string} text what is shown as it is typed */
const code = (text) => (text === '' ? '' : `\`${text.replaceAll('|', '\\|')}\``);

/**
 * @param {readonly string[]} head
 * @param {readonly (readonly string[])[]} rows
 */
function table(head, rows) {
  const line = (/** @type {readonly string[]} */ cells) => `| ${cells.join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}

/** @param {import('@lockstep/base').ErrorEntry} entry */
function exitOf({ exit, when }) {
  if (exit === null) return '-';
  const statuses = typeof exit === 'number' ? [exit] : [...new Set(Object.values(exit))];
  const programs = (/** @type {number} */ status) =>
    typeof exit === 'number'
      ? []
      : Object.entries(exit)
          .filter(([, of]) => of === status)
          .map(([program]) => program);
  const text = statuses.map((status) => `${programs(status).join(', ')} ${status}`.trim()).join('; ');
  return when === undefined ? text : `${text} (${when})`;
}

function errorsPage() {
  /** @type {Readonly<Partial<Record<string, string>>>} */
  const notes = ROOM_NOTES;
  const rooms = Object.entries(ERROR_ROOMS).map(([title, room]) => {
    /** @type {Readonly<Record<string, import('@lockstep/base').ErrorEntry>>} */
    const entries = room;
    const rows = Object.entries(entries).map(([name, entry]) => [
      name,
      cell(entry.happened),
      cell(entry.action),
      entry.severity,
      cell(exitOf(entry)),
    ]);
    const note = notes[title];
    const head = note === undefined ? `## ${title}` : `## ${title}\n\n${note}`;
    return `${head}\n\n${table(['Code', 'What happened', 'What to do', 'Severity', 'Exit'], rows)}`;
  });
  return `# Errors

${MADE}

Codes are stable: scripts and alerts may rely on them. Every message begins with its code and says what happened and what to do, with names and
numbers; these ${Object.keys(ERRORS).length} rows are the overview. They stand in \`libs/base/src/errors\`, one file a room.

${table(
  ['Severity', 'Meaning'],
  Object.entries(SEVERITIES).map(([severity, meaning]) => [severity, meaning]),
)}

The last column is the exit status of the program that ends by it; \`lockstep\` is every command, and the sampler. "-" means that no program
ends by it alone: the run goes on, or a caller of the library gets it.

${table(
  ['Exit status', 'Of', 'Meaning'],
  [
    ['0', 'all', 'done; a worker also after `stop` from the coordinator or a signal'],
    ['1', 'all', 'failed; the code is in the last line or the log. `lockstep verify`: not verified'],
    [
      '2',
      '`lockstep`, coordinator, worker',
      'wrong config or arguments, or a directory without what the command needs',
    ],
    ['3', 'worker', 'refused by the coordinator; starting it again unchanged will not help (`lockstep up` does not)'],
    ['4', 'worker', 'no coordinator for 120 heartbeat timeouts (10 minutes; 20 if it never found one)'],
    [
      '128 + n',
      '`lockstep up`',
      'stopped by signal n, and nothing that was committed is lost: 129 HUP, 130 INT, 138 USR1, 140 USR2, 143 TERM, 152 XCPU',
    ],
  ],
)}

A worker's refusal or failure is the worker's exit status. \`lockstep up\` goes on with the others; it ends with 1 when none is left, or when the
coordinator failed.

${rooms.join('\n\n')}
`;
}

function configPage() {
  const up = new Set(describeConfig('run').map(({ key }) => key));
  /** @type {[title: string, keys: readonly import('@lockstep/config').KeyDescription[]][]} */
  const parts = [
    ['The coordinator, and `lockstep up`', describeConfig('run')],
    ['`lockstep up` alone, or with another default', differing('up', up)],
    ['A worker', describeConfig('worker')],
  ];
  const sections = parts.map(([title, keys]) => {
    const rows = keys.map(({ key, flag, env, default: value, allowed, doc, isSwitch }) => [
      code(key),
      code(isSwitch ? flag : `${flag} VALUE`),
      code(env),
      code(JSON.stringify(value)),
      cell(`${doc}; ${isSwitch ? 'a switch' : allowed}`),
    ]);
    return `## ${title}\n\n${table(['Key', 'Flag', 'Variable', 'Default', 'Meaning, and what is allowed'], rows)}`;
  });
  return `# Config

${MADE}

A key is set in a JSON file (\`--config FILE\`), by the environment, or by a flag, in that order of precedence. An unknown or bad key ends the
program with status 2 and names the key and where it came from. What a program was started with is frozen: nothing reads the environment later.

${sections.join('\n\n')}
`;
}

/**
 * Keys of a schema that `run` has not, or has with another default or meaning.
 * @param {'up'} schema
 * @param {ReadonlySet<string>} known
 */
function differing(schema, known) {
  const run = new Map(describeConfig('run').map((key) => [key.key, JSON.stringify(key)]));
  return describeConfig(schema).filter((key) => !known.has(key.key) || run.get(key.key) !== JSON.stringify(key));
}

function metricsPage() {
  const rows = describeMetrics().map(({ name, type, labels, help }) => [
    code(name),
    type,
    labels.map(code).join(', '),
    cell(help),
  ]);
  return `# Metrics

${MADE}

The coordinator serves these at \`/metrics\`, for Prometheus; workers serve none, as what they do is reported to it. Besides, it has those that
prom-client has of any Node process (\`process_*\`, \`nodejs_*\`). Names are stable. Alerts on them: [deploy](../../deploy/README.md).

${table(['Name', 'Type', 'Labels', 'Meaning'], rows)}
`;
}

/** @param {import('commander').Option | import('commander').Argument} of */
function defaultOf({ defaultValue, defaultValueDescription }) {
  if (defaultValueDescription !== undefined) return code(defaultValueDescription);
  return defaultValue === undefined ? '' : code(JSON.stringify(defaultValue));
}

/**
 * All commands, each behind the one that it belongs to, with their names as they are typed.
 *
 * @param {import('commander').Command} program
 * @param {string} [prefix]
 * @returns {{ readonly command: import('commander').Command; readonly name: string }[]}
 */
function commandsIn(program, prefix = '') {
  return program.commands.flatMap((command) => {
    const name = `${prefix}${command.name()}`;
    return [{ command, name }, ...commandsIn(command, `${name} `)];
  });
}

function commandsPage() {
  const program = lockstepProgram({ processors: 1, env: {}, unread: new AbortController().signal });
  const keys = new Set(describeConfig('up').map(({ flag }) => flag));
  const sections = commandsIn(program).map(({ command, name }) => {
    const help = command.createHelp();
    const args = help
      .visibleArguments(command)
      .map((argument) => [
        code(argument.required ? `<${argument.name()}>` : `[${argument.name()}]`),
        cell(argument.description),
        defaultOf(argument),
      ]);
    const options = help
      .visibleOptions(command)
      .filter(({ long }) => long !== '--help' && !(command.name() === 'up' && keys.has(long ?? '')))
      .map((option) => [code(option.flags), cell(option.description), defaultOf(option)]);
    return [
      `## lockstep ${name}`,
      sentence(command.description()),
      ...(command.name() === 'up' ? ['Every [config key](config.md) is a flag of it; besides:'] : []),
      ...(args.length === 0 ? [] : [table(['Argument', 'Meaning', 'Default'], args)]),
      ...(options.length === 0 ? [] : [table(['Option', 'Meaning', 'Default'], options)]),
    ].join('\n\n');
  });
  return `# Commands

${MADE}

\`npx lockstep COMMAND --help\` says the same. The variables LOCKSTEP_OUT and LOCKSTEP_DEVICE replace the defaults of the run's directory and of
\`--device\`.

${sections.join('\n\n')}
`;
}

/** @param {string} text */
const sentence = (text) => `${text[0].toUpperCase()}${cell(text.slice(1))}.`;

/**
 * Every page by its name, as it must be.
 * @returns {Promise<Record<string, string>>}
 */
export async function referencePages() {
  const style = (await resolveConfig(join(FOLDER, 'errors.md'))) ?? {};
  const pages = {
    'errors.md': errorsPage(),
    'config.md': configPage(),
    'metrics.md': metricsPage(),
    'cli.md': commandsPage(),
  };
  const formatted = Object.entries(pages).map(
    async ([name, text]) => /** @type {const} */ ([name, await format(text, { ...style, parser: 'markdown' })]),
  );
  return Object.fromEntries(await Promise.all(formatted));
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  mkdirSync(FOLDER, { recursive: true });
  for (const [name, text] of Object.entries(await referencePages())) writeFileSync(join(FOLDER, name), text);
}
