/** Folders of data, made for tests. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { TestContext } from 'node:test';

import { PNG } from 'pngjs';

import { idxHeader } from '#src/data/dataset.js';

/** A folder with these files, for as long as the test lasts. */
export function folderOf(context: TestContext, files: Readonly<Record<string, Uint8Array>>): string {
  const folder = mkdtempSync(join(tmpdir(), 'lockstep-data-'));
  context.after(() => {
    rmSync(folder, { recursive: true, force: true });
  });
  for (const [name, bytes] of Object.entries(files)) {
    const path = join(folder, name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, bytes);
  }
  return folder;
}

export function idxFile(dimensions: readonly number[], data: readonly number[]): Uint8Array {
  return Uint8Array.from([...idxHeader(dimensions), ...data]);
}

/** A PNG `width` wide of RGBA pixels, stored as grey (0), RGB (2) or RGBA (6). */
export function pngFile(
  width: number,
  pixels: readonly (readonly number[])[],
  { colorType }: { readonly colorType: 0 | 2 | 6 },
): Uint8Array {
  const png = new PNG({ width, height: pixels.length / width });
  png.data = Buffer.from(pixels.flat());
  return PNG.sync.write(png, { colorType, inputHasAlpha: true });
}

/** A grey PNG `width` wide. */
export function greyPng(width: number, greys: readonly number[]): Uint8Array {
  return pngFile(
    width,
    greys.map((grey) => [grey, grey, grey, 255]),
    { colorType: 0 },
  );
}
