/**
 * Lint rules of the whole workspace. `eslint .` works at the root and inside each project: patterns are relative to this file.
 *
 * Imports point one way (docs/internals/architecture.md has the table): apps -> libs, and among libs and apps only as LIBS and APPS below allow.
 */
import { basename, dirname, relative, resolve as resolvePath, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import js from '@eslint/js';
import { createConfig } from 'eslint-plugin-boundaries/config';
import { defineConfig } from 'eslint/config';
import tseslint from 'typescript-eslint';

const ROOT = import.meta.dirname;

/** What each lib may import, besides packages from npm. */
export const LIBS = {
  base: [],
  exact: ['base'],
  comm: ['base', 'exact'],
  run: ['base', 'exact'],
  config: ['base'],
  process: ['base', 'config'],
  engine: ['base'],
  task: ['base', 'engine'],
  diffusion: ['base', 'engine', 'task'],
  catalog: ['task', 'diffusion'],
  evaluation: ['base', 'engine', 'task', 'diffusion'],
};
/** Libs that know one task. Who trains knows none: the catalog opens whichever the run is of. */
const OF_ONE_TASK = new Set(['diffusion', 'evaluation']);
const TRAINERS = new Set(['coordinator', 'worker']);
/** What each app may import among apps. Beside them it may import every lib; TRAINERS none that is OF_ONE_TASK. */
export const APPS = { coordinator: ['sampler'], worker: [], sampler: [], cli: ['coordinator', 'worker', 'sampler'] };
/** What the tests of a lib may import besides: where the engine lies that they load is a question to the environment. */
const TESTS_OF_LIBS = ['config'];
/** Who has a right to process.env, each for the reason that docs/internals/architecture.md gives. */
const READ_THE_ENVIRONMENT = [
  'apps/*/src/main.ts',
  'apps/sampler/src/evaluate-main.ts',
  'apps/worker/src/edge/worker-process.ts',
  'libs/engine/src/device/environment.ts',
];
/** Names that say nothing about what a file holds. */
const EMPTY_NAMES = new Set(['utils', 'util', 'helpers', 'helper', 'common', 'misc']);

/**
 * This file is also the resolver (interface version 2 of eslint-plugin-import) that the boundaries plugin asks where an
 * import leads. Only the project counts, so nothing is looked up on disk: lint gives the same answer before the first
 * build, and nx, whose lint cache is keyed by this file, never answers with what an older resolver said.
 */
export const interfaceVersion = 2;
/**
 * @param {string} source
 * @param {string} file
 */
export function resolve(source, file) {
  if (source.startsWith('.')) return { found: true, path: resolvePath(dirname(file), source) };
  // What a package's tests import of it (package.json, "imports").
  if (source.startsWith('#src/'))
    return {
      found: true,
      path: resolvePath(ROOT, ...relative(ROOT, file).split(sep).slice(0, 2), 'src', source.slice(5)),
    };
  const name = /^@lockstep\/([^/]+)/.exec(source)?.[1];
  if (name === undefined) return { found: false };
  const folder = name in LIBS ? 'libs' : name in APPS ? 'apps' : 'test';
  return { found: true, path: resolvePath(ROOT, folder, name, 'src/index.ts') };
}

const element = (/** @type {string} */ type, /** @type {string | string[]} */ names) => ({
  element: { type, captured: { name: names } },
});
const policies = [
  ...Object.entries(LIBS).map(([name, allowed]) => ({
    from: element('lib', name),
    allow: { to: element('lib', [name, ...allowed]) },
  })),
  ...Object.keys(APPS).map((name) => ({
    from: element('app', name),
    allow: {
      to: TRAINERS.has(name)
        ? element(
            'lib',
            Object.keys(LIBS).filter((lib) => !OF_ONE_TASK.has(lib)),
          )
        : { element: { type: 'lib' } },
    },
  })),
  ...Object.entries(APPS).map(([name, allowed]) => ({
    from: element('app', name),
    allow: { to: element('app', [name, ...allowed]) },
  })),
  { from: { element: { type: 'test' } }, allow: { to: { element: { types: { anyOf: ['lib', 'app', 'test'] } } } } },
];

/** @type {import('eslint').ESLint.Plugin} */
const lockstep = {
  rules: {
    'file-name': {
      meta: {
        type: 'problem',
        schema: [],
        messages: { empty: 'Name the file after what it holds; {{name}} could hold anything.' },
      },
      create: (context) => ({
        Program(node) {
          const name = basename(context.filename);
          if (EMPTY_NAMES.has(name.split('.')[0].toLowerCase()))
            context.report({ node, messageId: 'empty', data: { name } });
        },
      }),
    },
  },
};

/** The plugin "boundaries" by way of its own config: the types of the plugin itself are not those of what it exports. */
const boundaries = createConfig({}).plugins ?? {};

/** node:test reports what its functions' promises reject with: nobody needs to await them at a file's top level. */
const NODE_TEST = {
  from: 'package',
  package: 'node:test',
  name: ['test', 'it', 'describe', 'suite', 'before', 'after'],
};

export default defineConfig(
  { ignores: ['**/dist/', '**/dist-test/', '**/node_modules/', '.nx/', '.lockstep/', 'coverage/', 'runs/'] },
  { linterOptions: { reportUnusedDisableDirectives: 'error' } },
  js.configs.recommended,
  { plugins: { lockstep }, rules: { 'lockstep/file-name': 'error', eqeqeq: 'error' } },
  {
    // The globals of the Node that runs the lint; TypeScript checks its own files better than no-undef can.
    files: ['**/*.{js,mjs,cjs}'],
    languageOptions: {
      globals: Object.fromEntries(Object.getOwnPropertyNames(globalThis).map((name) => [name, 'readonly'])),
    },
  },
  {
    // Plain JavaScript too: the compiler checks it, below src with its package, elsewhere without output (tsconfig.scripts.json). What no
    // tsconfig knows is an error here.
    files: ['**/*.{ts,js,mjs,cjs}'],
    extends: [tseslint.configs.strictTypeChecked],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: ROOT } },
    rules: {
      '@typescript-eslint/no-explicit-any': 'error',
      '@typescript-eslint/no-floating-promises': ['error', { allowForKnownSafeCalls: [NODE_TEST] }],
      '@typescript-eslint/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true, allowBoolean: true }],
      '@typescript-eslint/no-confusing-void-expression': [
        'error',
        { ignoreArrowShorthand: true, ignoreVoidReturningFunctions: true },
      ],
      // The compiler takes array[i] to be there (noUncheckedIndexedAccess is off), so the rule would forbid asking whether it is.
      '@typescript-eslint/no-unnecessary-condition': 'off',
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_' }],
      // An interface may ask for a promise that one implementation has at once; async keeps its errors rejections.
      '@typescript-eslint/require-await': 'off',
    },
  },
  {
    files: ['{libs,apps,test}/**/*.{ts,js,mjs}'],
    plugins: boundaries,
    settings: {
      'boundaries/root-path': ROOT,
      'boundaries/legacy-templates': false,
      'boundaries/elements': [
        { type: 'lib', pattern: 'libs/*', capture: ['name'] },
        { type: 'app', pattern: 'apps/*', capture: ['name'] },
        { type: 'test', pattern: 'test/*', capture: ['name'] },
      ],
      'import/resolver': { [fileURLToPath(import.meta.url)]: {} },
    },
    rules: {
      'no-restricted-imports': [
        'error',
        { patterns: [{ regex: '/(dist|dist-test|src)/', message: 'Import what the package exports, by its name.' }] },
      ],
      'boundaries/dependencies': ['error', { default: 'disallow', policies }],
      'boundaries/no-unknown-files': 'error',
      'boundaries/no-unknown-dependencies': 'error',
    },
  },
  {
    files: ['libs/*/src/**/*.{test,fixture}.ts'],
    rules: {
      'boundaries/dependencies': [
        'error',
        {
          default: 'disallow',
          policies: [...policies, { from: { element: { type: 'lib' } }, allow: { to: element('lib', TESTS_OF_LIBS) } }],
        },
      ],
    },
  },
  {
    // One place reads the environment: libs/config, from what an edge hands in.
    files: ['{libs,apps}/*/src/**/*.{ts,js,mjs}'],
    ignores: ['**/*.{test,fixture}.ts', ...READ_THE_ENVIRONMENT],
    rules: {
      'no-restricted-properties': [
        'error',
        { object: 'process', property: 'env', message: 'Take the environment as an argument; libs/config reads it.' },
      ],
    },
  },
  {
    files: ['libs/*/src/index.ts'],
    rules: {
      'no-restricted-syntax': [
        'error',
        {
          selector: 'Program > :not(ExportAllDeclaration, ExportNamedDeclaration[source])',
          message: 'index.ts only re-exports.',
        },
      ],
    },
  },
);
