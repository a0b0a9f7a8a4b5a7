/**
 * The PNGs of a folder and their classes, as torchvision's ImageFolder finds them: each subfolder is a class, with all that lies in it
 * at any depth, folder after folder in the order of their paths. A folder without subfolders is one class.
 *
 * Two things differ. Classes are numbered in the order of their names, but where all names are whole numbers in the order of those,
 * so that class 10 comes after class 2. And what would be read otherwise than it was meant is refused: pictures beside classes, a set
 * divided into train and test, a folder around the classes, links that lead round.
 */
import { join, relative, sep } from 'node:path';

import { entriesIn, realPathOf } from './data-files.js';
import type { Entry } from './data-files.js';
import { DiffusionError } from '../errors.js';
import { nearlyIdx, IDX_NAMES, isIdxName } from './idx.js';

export type LabelledFile = { readonly path: string; readonly label: number };

export type PngClasses = {
  /** At least one. */
  readonly files: readonly LabelledFile[];
  /** [classes] the folders' names, by label. */
  readonly classNames: readonly string[];
};

/** A label is one byte. */
const MAX_CLASSES = 256;
const PNG_NAME = /\.png$/i;
const OTHER_IMAGE = /\.(jpe?g|gif|bmp|webp|tiff?|p[bgp]m)$/i;
/** What the parts of a divided data set are called. */
const SPLITS: ReadonlySet<string> = new Set([
  'train',
  'training',
  'test',
  'testing',
  'val',
  'valid',
  'validation',
  'dev',
  'eval',
  'holdout',
]);
/** How far below a folder the data that was perhaps meant is looked for: torchvision's MNIST/raw is two. */
const HINT_DEPTH = 3;
/** Folders that are looked into for that. */
const HINT_FOLDERS = 100;

/** A folder with pictures right in it. */
type Pictures = { readonly folder: string; readonly names: readonly string[] };

/**
 * @throws E_DATA_MISSING if something cannot be read, E_DATA_EMPTY if there is no PNG, or none in a class, E_DATA_FORMAT if it is not
 *   clear which folders are the classes, E_DATA_LABEL if they are too many, E_DATA_PNG for images of other formats
 */
export function pngClassFolders(folder: string): PngClasses {
  const entries = entriesIn(folder);
  const loose = picturesIn(folder, entries);
  const folders = entries.filter(({ kind }) => kind === 'folder');
  const names = inOrder(folders.map(({ name }) => name));
  if (names.length === 0) {
    if (loose.length === 0) throw new DiffusionError('E_DATA_EMPTY', nothingIn(folder));
    return { files: loose.map((name) => ({ path: join(folder, name), label: 0 })), classNames: ['0'] };
  }
  if (loose.length > 0) {
    throw new DiffusionError(
      'E_DATA_FORMAT',
      `${join(folder, loose[0])} lies beside subfolders, which are classes: put it into one, or take the subfolders away`,
    );
  }
  if (isDivided(names)) throw around(folder, names);
  if (names.length > MAX_CLASSES) {
    throw new DiffusionError('E_DATA_LABEL', `${folder} has ${names.length} subfolders: ${MAX_CLASSES} at most`);
  }
  const root = [realPathOf(folder)];
  for (const { name, link } of folders) if (link) refuseRound(join(folder, name), root);
  const classes = names.map((name) => picturesBelow(join(folder, name), root));
  const empty = classes.findIndex((pictures) => pictures.length === 0);
  if (empty >= 0) {
    const path = join(folder, names[empty]);
    const meant = dataBelow(path);
    throw new DiffusionError(
      'E_DATA_EMPTY',
      meant === null
        ? `${path} holds no PNG: fill the class or take it away`
        : `${path} is no class, as it holds no PNG; ${meant.path} holds IDX files: name that folder, --data ${meant.path}`,
    );
  }
  const [only] = classes;
  if (names.length === 1 && only.length > 1 && only.every((pictures) => pictures.folder !== join(folder, names[0]))) {
    throw around(folder, names);
  }
  const files = classes.flatMap((pictures, label) =>
    pictures.flatMap((of) => of.names.map((name) => ({ path: join(of.folder, name), label }))),
  );
  return { files, classNames: names };
}

/** Whether the folders are parts of a data set, by their names: a class may well be called `train`. */
function isDivided(names: readonly string[]): boolean {
  const parts = names.filter((name) => SPLITS.has(name.toLowerCase()));
  return parts.length > 1 && (parts.length === names.length || parts.some(isTraining));
}

function isTraining(name: string): boolean {
  return /^train(ing)?$/i.test(name);
}

/** Whole numbers in their order, else names by their code units, which no system's language decides. */
function inOrder(names: readonly string[]): string[] {
  const sorted = names.toSorted();
  return names.every((name) => /^\d+$/.test(name)) ? sorted.sort((a, b) => compareDigits(a, b)) : sorted;
}

/** By value, of any length; equal values stay as they are. */
function compareDigits(first: string, second: string): number {
  const [a, b] = [first, second].map((digits) => digits.replace(/^0+/, ''));
  if (a.length !== b.length) return a.length - b.length;
  return a < b ? -1 : a > b ? 1 : 0;
}

/** Names of the PNGs right in a folder. @throws E_DATA_PNG, E_DATA_FORMAT */
function picturesIn(folder: string, entries: readonly Entry[]): string[] {
  for (const { name, kind } of entries) {
    if (kind === 'file' && OTHER_IMAGE.test(name)) {
      throw new DiffusionError(
        'E_DATA_PNG',
        `${join(folder, name)} is no PNG, and only PNGs are read: convert it, or take it away`,
      );
    }
    if (kind !== 'file' && PNG_NAME.test(name)) {
      const what = kind === 'folder' ? 'a folder' : 'a device, pipe or socket';
      throw new DiffusionError(
        'E_DATA_FORMAT',
        `${join(folder, name)} is ${what}, though it is called as a picture is: rename it, or take it away`,
      );
    }
  }
  return entries.flatMap(({ name, kind }) => (kind === 'file' && PNG_NAME.test(name) ? [name] : []));
}

/** The folders with pictures from `top` down, in the order of their paths, as torchvision has them. @throws as picturesIn, E_DATA_MISSING */
function picturesBelow(top: string, root: readonly string[]): Pictures[] {
  const found: Pictures[] = [];
  const visit = (folder: string, above: readonly string[]): void => {
    const here = [...above, realPathOf(folder)];
    const entries = entriesIn(folder);
    const names = picturesIn(folder, entries);
    if (names.length > 0) found.push({ folder, names });
    for (const { name, kind, link } of entries) {
      if (kind !== 'folder') continue;
      const path = join(folder, name);
      if (link) refuseRound(path, here);
      visit(path, here);
    }
  };
  visit(top, root);
  return found.sort((a, b) => (a.folder < b.folder ? -1 : 1));
}

/** A link to a folder that it lies in would be followed for ever. */
function refuseRound(path: string, above: readonly string[]): void {
  const target = realPathOf(path);
  const contains = (folder: string): boolean =>
    folder === target || folder.startsWith(target === sep ? sep : target + sep);
  if (above.some(contains)) {
    throw new DiffusionError(
      'E_DATA_FORMAT',
      `${path} is a link to ${target}, in which it lies itself: take the link away`,
    );
  }
}

/** The classes are one level further down. */
function around(folder: string, names: readonly string[]): DiffusionError {
  const shown = names.slice(0, 3).map((name) => join(folder, name));
  const named = names.find(isTraining) ?? names[0];
  return new DiffusionError(
    'E_DATA_FORMAT',
    `${folder} holds subfolders of pictures (${shown.join(', ')}), which are parts of a data set rather than classes: ` +
      `name that folder, for example --data ${join(folder, named)}`,
  );
}

/** Why there is nothing to train on, and what is looked for. */
function nothingIn(folder: string): string {
  const near = nearlyIdx(entriesIn(folder).map(({ name }) => name));
  const { images, labels } = IDX_NAMES.train;
  return (
    `${folder} holds neither IDX files (${images} and ${labels}, also with .idx in place of -idx or .gz at the end) nor PNGs: ` +
    (near === null ? 'name a folder that does' : `if ${near.name} is one, call it ${near.meant}`)
  );
}

/** The first folder of IDX files at or below `top`, breadth first; null if there is none near. */
function dataBelow(top: string): { readonly path: string } | null {
  let level = [top];
  let left = HINT_FOLDERS;
  while (level.length > 0) {
    const next: string[] = [];
    for (const folder of level) {
      if (left-- === 0) return null;
      const entries = entriesIn(folder);
      if (entries.some(({ name, kind }) => kind === 'file' && isIdxName(name))) return { path: folder };
      const deep = relative(top, folder).split(sep).length >= HINT_DEPTH;
      if (!deep)
        next.push(
          ...entries.flatMap(({ name, kind, link }) => (kind === 'folder' && !link ? [join(folder, name)] : [])),
        );
    }
    level = next;
  }
  return null;
}
